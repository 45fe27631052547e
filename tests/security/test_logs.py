"""No secret is in what a server writes, whatever is done with it, and whatever breaks."""

from __future__ import annotations

import base64
import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attacked import attacked_site
from opus_core.datadir import open_data_dir
from security.accounts import Users
from servers import LEDGER_SCRIPT, LEDGER_WADL, OVER, Site, eventually

CARELESS = Path(__file__).with_name("careless.py")
UNSTRUCK = Path(__file__).with_name("unstruck.py")
PASSWORD = "four lame horses sing"
WRONG = "five lame horses sing"
FILE = '<param style="query" name="table" type="file"/>'
WADL = LEDGER_WADL.replace(
    'required="true"/>', f'required="false" default="/dev/null"/>\n{FILE}', 1
)


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


def secret_of(token: str) -> str:
    return token.split("_", 2)[2]


def doings(site: Site, users: Users) -> dict[str, str]:
    """Do all that takes a secret, rightly and wrongly; answers the secrets, by what they are."""
    token, other = users.tokens["ann"], users.token("ann", "--scope", "run")
    said = {"token": secret_of(token), "revoked token": secret_of(other), "password": PASSWORD}
    site.opus("token", "revoke", other.split("_")[1])
    bearers = {"of nobody": f"opus_{'0' * 12}_{'Zz0-' * 10}xyz", "cut short": token[:-1]}
    for what, one in {**bearers, "as it is": token, "revoked": other}.items():
        said.setdefault(f"token {what}", secret_of(one))
        for headers in ({"Authorization": f"Bearer {one}"}, basic("ann", one)):
            site.get("/rest/ledger", headers=headers)
        for path in (f"/rest/ledger?token={one}", f"/signin/{one}", f"/rest/../signin/{one}"):
            site.get(path)
    said["wrong password"] = WRONG
    for password in (PASSWORD, WRONG):
        headers = basic("ann", password)
        said[f"basic {password}"] = headers["Authorization"].partition(" ")[2]
        site.get("/rest/ledger", headers=headers)
        entered = site.post(
            "/signin", {"NAME": "ann", "PROOF": password}, headers={"Origin": site.url}
        )
    entered = site.post("/signin", {"NAME": "ann", "PROOF": PASSWORD}, headers={"Origin": site.url})
    cookie = entered.headers["Set-Cookie"].partition(";")[0]
    said["cookie"] = cookie.partition("=")[2]
    browser = {"Cookie": cookie, "Origin": site.url, "Sec-Fetch-Site": "same-origin"}
    site.get("/account", headers=browser)
    said["csrf"] = "hunter2csrf"
    site.post("/account/tokens", {"CSRF": "hunter2csrf", "NAME": "x"}, headers=browser)

    (link,) = re.findall(r"/signin/(opus_\S+)", site.opus("user", "link", "ann").stdout)
    said["link"] = secret_of(link)
    for _ in range(2):
        site.get(f"/signin/{link}")
        site.post(f"/signin/{link}", {}, headers={"Origin": site.url})

    job = users.create("ann", text="x", PHASE="RUN")
    eventually(lambda: users.document("ann", job)["phase"] in OVER)
    assert users.document("ann", job)["phase"] == "COMPLETED", users.document("ann", job)
    ticket = users.ask("ann", "POST", f"{job}/results/output/ticket", {})
    found = re.search(r"TICKET=([0-9]+\.([0-9a-f]{64}))", ticket.text)
    said["ticket"] = found[2]
    for path in (f"{job}/results/output", f"{job}/results/none", f"{job}/stdout"):
        site.get(f"{path}?TICKET={found[1]}")
    data_dir = open_data_dir(site.folder / "data")
    tag = f"opus-{data_dir.instance.word}-{job.rpartition('/')[2]}"
    said["event token"] = data_dir.event_token(tag)
    for token_ in (said["event token"], said["event token"][::-1]):
        fields = {"jobid": tag, "phase": "x", "token": token_}
        site.post("/handler/job_event", fields)
        site.get(f"/handler/job_event?token={token_}")
    return said


def broken(site: Site, users: Users) -> None:
    """The same questions to a server whose database is damaged, and some that make no sense."""
    database = site.folder / "data" / "opus.sqlite"
    for file in database.parent.glob("opus.sqlite*"):
        with file.open("r+b") as here:
            here.write(b"\xa5" * file.stat().st_size)
    statuses = set()
    for name in ("ann", None):
        for path in ("/rest/ledger", "/account", "/rest/ledger?LAST=2", "/jobs"):
            statuses.add(users.ask(name, "GET", path).status)
    assert statuses & {500, 503}, statuses


def half_a_request(site: Site, token: str) -> None:
    """What waitress refuses by itself."""
    for text in (
        f"GET /rest?token={token} HTTP/9.9\r\nHost: x\r\n\r\n",
        f"GET /rest HTTP/1.1\r\nAuthorization: Bearer {token}\r\nnonsense\r\n\r\n",
        f"POST /signin/{token} HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    ):
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
        connection.connect()
        connection.sock.sendall(text.encode())
        connection.sock.recv(1000)
        connection.close()


def wrote(site: Site) -> dict[str, str]:
    files = (site.folder / "data" / "opus.log", *site.folder.glob("std*.log"))
    return {one.name: one.read_text(errors="replace") for one in files}


@contextmanager
def served(form: str, program: Path) -> Iterator[Users]:
    """A server that writes all that it can, with a user."""
    with attacked_site() as site:
        site.configure(
            f'log_level = "debug"\nlog_format = "{form}"\nlog_requests = true\ndebug = true',
            auth="anonymous = true\npasswords = true",
            jobs='fetch_hosts = ["127.0.0.9"]',
        )
        site.describe("ledger", LEDGER_SCRIPT, WADL)
        users = Users(site)
        users.add("ann")
        site.opus("user", "password", "ann", input=f"{PASSWORD}\n")
        site.serve(program=program)
        yield users


def check(site: Site, said: dict[str, str]) -> None:
    for name, text in wrote(site).items():
        flat = text.replace("+", " ").replace("%20", " ")
        assert [what for what, secret in said.items() if secret in text or secret in flat] == [], (
            name
        )


def test_the_log_is_not_even_handed_a_secret():
    """This one strikes out nothing."""
    with served("text", UNSTRUCK) as users:
        said = doings(users.site, users)
        half_a_request(users.site, users.tokens["ann"])
        broken(users.site, users)
        users.site.stop()
        check(users.site, said)
        assert "status=503" in wrote(users.site)["opus.log"]


def test_a_secret_that_it_is_handed_all_the_same_is_struck_out():
    with served("json", CARELESS) as users:
        site, said = users.site, doings(users.site, users)
        said["credentials of others"] = "hunter2Careless99"
        site.get(f"/rest/{users.tokens['ann']}")  # somebody has pasted it there
        for scheme in ("Bearer", "bearer", "Negotiate"):
            headers = {"Authorization": f"{scheme} hunter2Careless99", "Accept": "application/json"}
            answer = site.get("/rest/ledger", headers=headers)
            assert answer.status == 500
            assert answer.headers["X-Request-ID"] in answer.text
        said["signature of an input"] = "hunter2sig"
        said["password of an input"] = "hunter2pass"
        url = "http://eve:hunter2pass@127.0.0.9/t.csv?signature=hunter2sig"
        users.ask("ann", "POST", "/rest/ledger", {"table": url, "PHASE": "RUN"})
        broken(site, users)
        site.stop()
        check(site, said)
        lines = [json.loads(one) for one in wrote(site)["opus.log"].splitlines()]
        traces = [one for one in lines if "trace" in one]
        assert [one["path"] for one in traces] == ["/rest/ledger"] * 3
        assert all("is known by" in one["trace"] and "***" in one["trace"] for one in traces)
        assert all(one["request"] for one in lines if one["logger"] == "careless")
