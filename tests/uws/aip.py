"""How the AIP's uws-client asks, as far as it differs from what others do.

It believes that Location begins with just the base URL it was given, takes the rest for an id and
strips from its left whatever looks like the beginning of a URL; it sends whatever is to be changed
to the job itself, in its own spelling; and it follows every redirection.
"""

from __future__ import annotations

import re
import urllib.parse
import urllib.request

from lxml import etree

UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"


class AipClient:
    def __init__(self, base: str, user: str = "") -> None:
        self.base = base if base.endswith("/") else f"{base}/"
        self._headers = {"X-Test-User": user} if user else {}

    def _ask(self, method: str, path: str, fields: dict[str, str] | None = None):
        """The URL the redirections led to, and the content there."""
        body = urllib.parse.urlencode(fields).encode() if fields is not None else None
        request = urllib.request.Request(self.base + path, body, self._headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200
            return answer.geturl(), answer.read()

    def new(self, **fields: str) -> str:
        """Make a job; answers what the client takes for its id."""
        url, _ = self._ask("POST", "", fields)
        return re.sub("^[htps:/]+", "", url[len(self.base) :])

    def get(self, job: str, **query: str) -> etree._Element:
        asked = f"?{urllib.parse.urlencode(query)}" if query else ""
        return etree.fromstring(self._ask("GET", job + asked)[1])

    def set(self, job: str, **fields: str) -> etree._Element:
        """Parameters, executionDuration, destruction and phase alike; answers the job."""
        _, body = self._ask("POST", job, fields)
        return etree.fromstring(body)

    def delete(self, job: str) -> etree._Element:
        """Answers the list, to which it was led."""
        opener = urllib.request.build_opener(_Following)
        request = urllib.request.Request(self.base + job, headers=self._headers, method="DELETE")
        with opener.open(request, timeout=60) as answer:
            return etree.fromstring(answer.read())

    def list(self, **query: str | list[str]) -> list[str]:
        """Ids; filters are trusted to a server of version 1.1 only."""
        whole = etree.fromstring(self._ask("GET", "")[1])
        assert whole.get("version") == "1.1"
        asked = urllib.parse.urlencode(query, doseq=True)
        found = etree.fromstring(self._ask("GET", f"?{asked}")[1])
        return [row.get("id") for row in found.iter(f"{UWS}jobref")]


class _Following(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, request, fp, code, msg, headers, url):
        """After DELETE, too, which the standard library would not follow."""
        assert code == 303
        return urllib.request.Request(url, headers=request.headers, method="GET")
