"""A server with accounts, and clients that say who they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attacked import attacked_site
from servers import LEDGER_SCRIPT, LEDGER_WADL, Answer, Site

ANN, BOB, EVE = "ann", "bob", "eve"  # bob is an admin
USERS = {ANN: (), BOB: ("--role", "admin"), EVE: ()}


class Users:
    """What the users of a site show."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.tokens: dict[str, str] = {}

    def add(self, name: str, *words: str) -> None:
        self.site.opus("user", "add", name, *words)
        self.tokens[name] = self.token(name, "--scope", "run", "--scope", "admin")

    def token(self, name: str, *words: str) -> str:
        return self.site.opus("token", "add", name, *words).stdout.strip()

    def ask(self, who: str | None, method: str, path: str, *form: Any, **more: Any) -> Answer:
        """One request by that user; None: by nobody known."""
        headers = dict(more.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {self.tokens[who]}"
        return self.site.request(method, path, *form, headers=headers, **more)

    def create(self, who: str | None, name: str = "ledger", **fields: str) -> str:
        """A job of that user; answers its path."""
        answer = self.ask(who, "POST", f"/rest/{name}", {"ledger": "/dev/null", **fields})
        assert answer.status == 303, answer.text
        return answer.location.removeprefix(self.site.url)

    def document(self, who: str | None, job: str) -> dict[str, Any]:
        answer = self.ask(who, "GET", job, headers={"Accept": "application/json"})
        assert answer.status == 200, answer.text
        found: dict[str, Any] = json.loads(answer.body)
        return found


@contextmanager
def site_with_users(*, auth: str = "anonymous = true", proxies: str = "") -> Iterator[Users]:
    """A server without rights, with the users of `USERS`; whatever gets through is nobody's."""
    with attacked_site() as site:
        server = f"port = {site.port}\ntrusted_proxies = {json.dumps(proxies.split())}"
        nobody = 'servers = ["http://127.0.0.1:9/async"]'
        site.configure(auth=auth, server=server, client=nobody)
        wadl = LEDGER_WADL.replace('required="true"/>', 'required="false" default="/dev/null"/>', 1)
        site.describe("ledger", LEDGER_SCRIPT, wadl)
        users = Users(site)
        for name, words in USERS.items():
            users.add(name, *words)
        site.serve()
        yield users
