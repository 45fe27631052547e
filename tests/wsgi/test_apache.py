"""Apache with mod_wsgi, by the files that `opus init` writes for it: below /opus, five threads."""

from __future__ import annotations

import base64
import http.client
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from servers import LEDGER_WADL, OVER, Site, eventually, runs
from wsgi import apache
from wsgi.crowd import crowd
from wsgi.installed import PATIENT_SCRIPT

PASSWORD = "rather long, and joan's"

LIST = "/opus/rest/periodogram"
BEARER = {"Authorization": "Bearer ann"}
TABLE = b"year,value\n" + b"".join(b"%d,%d\n" % (year, year % 11) for year in range(1700, 2000))

# What sends the results has no part in it.
once = pytest.mark.parametrize("one", ["as it is"], indirect=True, scope="module")


@pytest.fixture(scope="module", params=["as it is", "x-sendfile"])
def one(request, venv) -> Iterator[Site]:
    sendfile = request.param == "x-sendfile"
    if sendfile and not (apache.MODULES / "mod_xsendfile.so").exists():
        apache.lacking("there is no mod_xsendfile; Debian's libapache2-mod-xsendfile has it")
    outside = Path(tempfile.mkdtemp(prefix="opus-apache-"))
    outside.chmod(0o755)
    folder = outside / "opus"
    client = Site(outside / "unused")  # its configuration is nobody's
    try:
        apache.init(venv, folder)
        config = folder / "opus.toml"
        text = apache.replaced(config.read_text(), "^# threads = 64$", "threads = 5")
        text = apache.replaced(text, "^# passwords = false$", "passwords = true")
        site = apache.replaced((folder / "apache.conf").read_text(), "threads=64", "threads=5")
        if sendfile:
            text = apache.replaced(text, "^# sendfile = .*$", 'sendfile = "x-sendfile"')
            site += f"XSendFile On\nXSendFilePath {folder}/jobs\n"
        config.write_text(text)
        opus = [*apache.NOBODY, venv / "bin" / "opus", "--config", config]
        if not sendfile:
            add_joan(opus)
            describe(opus, outside)
        client.processes.append(apache.start(folder, client.port, site))
        with (outside / "supervisor.log").open("ab") as log:
            client.processes.append(
                subprocess.Popen([*opus, "supervise"], cwd="/", stdout=log, stderr=log)
            )

        def up() -> bool:
            assert client.processes[0].poll() is None, (folder / "run" / "out.log").read_text()
            try:
                return client.get("/opus/healthz").status == 200
            except OSError:
                return False

        eventually(up)
        client.folder = folder
        yield client
        said = (folder / "run" / "error.log").read_text()
        assert "Traceback" not in said, said[-3000:]
    finally:
        client.stop()
        shutil.rmtree(outside, ignore_errors=True)


def add_joan(opus: list[str | Path]) -> None:
    """A user with a password."""
    for words, said in (("add", ""), ("password", PASSWORD)):
        command = [*opus, "user", words, "joan"]
        subprocess.run(command, check=True, capture_output=True, text=True, input=said, cwd="/")


def describe(opus: list[str | Path], folder: Path) -> None:
    """Publish a job that goes on until it is told to end."""
    for name, text in (("ledger.wadl", LEDGER_WADL), ("script", PATIENT_SCRIPT)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
    files = [folder / "ledger.wadl", "--script", folder / "script"]
    command = [*opus, "jdl", "import", *files, "--name", "ledger", "--publish"]
    subprocess.run(command, check=True, capture_output=True, cwd="/")


def upload(data: bytes, **fields: str) -> bytes:
    parts = [(name, "", value.encode()) for name, value in fields.items()]
    body = b""
    for name, file, content in [*parts, ("table", '; filename="t.csv"', data)]:
        head = f'--f\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + b"--f--\r\n"


def in_chunks(one: Site, body: bytes) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=60)
    headers = {
        "Content-Type": "multipart/form-data; boundary=f",
        "Transfer-Encoding": "chunked",
        **BEARER,
    }
    pieces = (body[at : at + 7001] for at in range(0, len(body), 7001))
    connection.request("POST", LIST, pieces, headers, encode_chunked=True)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_an_upload_in_chunks_arrives_whole_and_its_job_runs(one):
    made = in_chunks(one, upload(TABLE, PHASE="RUN", longest="60"))
    assert made.status == 303
    job = made.headers["Location"]
    assert job.startswith(f"{one.url}{LIST}/")
    assert one.get(f"{job}/parameters/table", headers=BEARER).body == TABLE

    assert eventually(lambda: over(one, job), 60) == "COMPLETED"
    result = one.get(f"{job}/results/strongest", headers=BEARER)
    assert result.status == 200
    assert b'"period"' in result.body
    part = one.get(f"{job}/results/strongest", headers=BEARER | {"Range": "bytes=1-3"})
    assert (part.status, part.body) == (206, result.body[1:4])


def test_the_authorization_header_arrives(one):
    """Which mod_wsgi keeps to itself unless it is told to pass it on."""
    assert one.get(LIST).status == 401
    job = one.post(LIST, {"longest": "60"}, headers=dict(BEARER)).location
    assert one.get(f"{job}/owner", headers=BEARER).text == "ann"
    assert one.get(job, headers={"Authorization": "Bearer bob"}).status == 403


@once
def test_so_does_a_password(one):
    proof = base64.b64encode(f"joan:{PASSWORD}".encode()).decode()
    joan = {"Authorization": f"Basic {proof}"}
    job = one.post(LIST, {"longest": "60"}, headers=joan).location
    assert one.get(f"{job}/owner", headers=joan).text == "joan"
    wrong = base64.b64encode(b"joan:wrong").decode()
    assert one.get(job, headers={"Authorization": f"Basic {wrong}"}).status == 401


def test_every_address_is_below_the_path_that_apache_offers(one):
    job = one.post(LIST, {"longest": "60"}, headers=dict(BEARER)).location
    assert job.startswith(f"{one.url}{LIST}/")
    for page in ("/opus/", LIST, "/opus/new/periodogram", job):
        for accept in ("text/html", "*/*"):
            text = one.get(page, headers={**BEARER, "Accept": accept}).text
            links = re.findall(r'(?:href|src|action)="([^"#][^"]*)"', text)
            links = [link for link in links if "//doi.org/" not in link]
            inside = [urljoin(f"{one.url}{urlsplit(page).path}", link) for link in links]
            assert [link for link in inside if not link.startswith(f"{one.url}/opus")] == []


@once
def test_fifty_who_wait_leave_threads_for_others(one):
    """Who waits does so for longer than Apache's own Timeout here; see `apache.start`."""
    job = one.post(LIST, {"longest": "60"}, headers=dict(BEARER)).location
    slowest = crowd(
        lambda: one.get(f"{job}?WAIT=4", headers=dict(BEARER)),
        lambda: one.get("/opus/healthz"),
        4,
    )
    assert slowest < 2, f"a plain page took {slowest:.1f} s"


@once
@pytest.mark.parametrize("how", ["touch", "graceful"])
def test_a_reload_loses_no_job_and_nobody_who_waits(one, how):
    """By a new time of wsgi.py, and by `apache2 -k graceful`; the supervisor runs apart. A daemon
    that stops gives its requests five seconds, and this one would wait for a minute."""
    ledger = one.folder / f"{how}.ledger"
    fields = {"ledger": str(ledger), "PHASE": "RUN"}
    job = one.post("/opus/rest/ledger", fields, headers=dict(BEARER)).location
    eventually(lambda: runs(ledger) == 1)
    before = children(one)
    waited: list[int] = []
    waiter = threading.Thread(
        target=lambda: waited.append(one.get(f"{job}?WAIT=60", headers=dict(BEARER)).status)
    )
    waiter.start()
    time.sleep(0.5)  # that it waits cannot be seen from outside
    if how == "touch":
        os.utime(one.folder / "wsgi.py")
    else:
        one.processes[0].send_signal(signal.SIGUSR1)
    ours, of_apache = set(), set()

    def anew() -> bool:
        answer = one.get(f"{job}/phase", headers=dict(BEARER))
        (ours if "X-Request-ID" in answer.headers else of_apache).add(answer.status)
        return bool(before - children(one))

    eventually(anew)
    waiter.join(30)
    assert waited == [200]
    assert ours <= {200}
    # Until Apache has begun anew, it has nobody to ask (503), or the one it asked ends before it
    # has looked at the request (500). Both are Apache's own words.
    assert of_apache <= (set() if how == "touch" else {500, 503})
    eventually(lambda: one.get("/opus/healthz").status == 200)
    Path(f"{ledger}.end").touch()
    assert eventually(lambda: over(one, job)) == "COMPLETED"
    assert runs(ledger) == 1


def children(one: Site) -> set[int]:
    """The processes below Apache's first one: of them one has the application."""
    main = one.processes[0].pid
    return set(map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split()))


def over(one: Site, job: str) -> str | None:
    phase = one.get(f"{job}/phase", headers=BEARER).text
    return phase if phase in OVER else None


def test_an_encoded_slash_is_left_to_the_application(one):
    answer = one.get(f"{LIST}/a%2Fb", headers=BEARER)
    assert answer.status == 404
    assert "there is no job" in answer.text
