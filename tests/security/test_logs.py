"""No secret is in what a server writes, whatever is done with it, and whatever breaks."""

from __future__ import annotations

import base64
import http.client
import re
from pathlib import Path

import pytest

from attacked import attacked_site
from opus_core.datadir import open_data_dir
from security.accounts import Users
from servers import LEDGER_SCRIPT, LEDGER_WADL, OVER, Site, eventually

UNSTRUCK = Path(__file__).with_name("unstruck.py")
PASSWORD = "four lame horses sing"
WRONG = "five lame horses sing"
FORM = "application/x-www-form-urlencoded"
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
        for path in (f"/rest/ledger?token={one}", f"/rest/{one}", f"/signin/{one}", f"/jdl/{one}"):
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


@pytest.mark.parametrize("program", [None, UNSTRUCK], ids=["as it is", "nothing struck out"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_in_what_a_server_writes(program, form):
    """Nothing struck out: the log is not even handed a secret."""
    with attacked_site() as site:
        site.configure(
            f'log_level = "debug"\nlog_format = "{form}"\ndebug = true',
            auth="anonymous = true\npasswords = true",
            jobs='fetch_hosts = ["127.0.0.9"]',
        )
        site.describe("ledger", LEDGER_SCRIPT, WADL)
        users = Users(site)
        users.add("ann")
        site.opus("user", "password", "ann", input=f"{PASSWORD}\n")
        site.serve(program=program)
        said = doings(site, users)
        half_a_request(site, users.tokens["ann"])
        if program is None:  # what a user has given as the address of an input
            said["signature"] = "hunter2sig"
            said["password of an address"] = "hunter2pass"
            url = "http://eve:hunter2pass@127.0.0.9/t.csv?signature=hunter2sig"
            users.ask("ann", "POST", "/rest/ledger", {"table": url, "PHASE": "RUN"})
            eventually(lambda: "an input could not be fetched" in wrote(site)["opus.log"])
        broken(site, users)
        site.stop()
        found = wrote(site)
        assert "Traceback" in found["opus.log"], "nothing has broken"
        for name, text in found.items():
            # A password in JSON, in a form or in an address is another text.
            flat = text.replace("+", " ").replace("%20", " ")
            told = [what for what, secret in said.items() if secret in text or secret in flat]
            assert told == [], name
