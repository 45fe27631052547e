"""Apache and nginx in front of `opus serve`, by the files that `opus init` writes for them: at
/opus, with five threads behind."""

from __future__ import annotations

import base64
import http.client
import json
import re
import shutil
import signal
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from opus_core.testing.server import OVER, Answer, Server
from servers import LEDGER_WADL, eventually, free_port, runs
from wsgi import apache, nginx
from wsgi.crowd import crowd
from wsgi.installed import PATIENT_SCRIPT, Installed

PASSWORD = "rather long, and ann's"
MAX_UPLOAD = 4_000_000  # [byte]
MAX_BODY = 1_000_000  # [byte]
ANN = {"Authorization": f"Basic {base64.b64encode(f'ann:{PASSWORD}'.encode()).decode()}"}
WADL = LEDGER_WADL.replace(
    '<param style="query" name="code"',
    '<param style="query" name="file" type="file" required="false"/>\n'
    '          <param style="query" name="code"',
)
ELSEWHERE = "127.0.0.2"  # an address of this machine that is not the proxy's


@dataclass
class Front:
    """What clients see, and what is behind it."""

    run: Path  # where the proxy writes
    seen: Server
    tls: int  # a port
    context: ssl.SSLContext
    behind: Installed


@pytest.fixture(scope="module")
def behind() -> Iterator[Installed]:
    outside = Path(tempfile.mkdtemp(prefix="opus-behind-"))
    one = Installed(outside / "opus")
    try:
        one.init(
            ("max_wait =", "max_wait = 4"),
            ("max_body =", f"max_body = {MAX_BODY}"),
            ("max_upload =", f"max_upload = {MAX_UPLOAD}"),
            ("passwords =", "passwords = true"),
            ("threads =", "threads = 5"),
            ("trusted_proxies =", 'trusted_proxies = ["127.0.0.1"]'),
        )
        for name in ("nginx.conf", "apache-proxy.conf"):
            size = str(MAX_UPLOAD + MAX_BODY)
            there = {"127.0.0.1:8080": f"127.0.0.1:{one.port}", r"\b2164260864\b": size}
            one.edit(f"deploy/{name}", there)
        one.opus("user", "add", "ann")
        one.opus("user", "password", "ann", input=f"{PASSWORD}\n")
        one.describe("ledger", PATIENT_SCRIPT, WADL)
        one.serve()
        yield one
        assert "Traceback" not in (one.folder / "stderr.log").read_text()
    finally:
        one.stop()
        shutil.rmtree(outside, ignore_errors=True)


@pytest.fixture(scope="module", params=["nginx", "apache"])
def front(request, behind, certificate) -> Iterator[Front]:
    run = Path(tempfile.mkdtemp(prefix="opus-front-"))
    run.chmod(0o755)
    seen, tls = Server(run, headers=ANN), free_port()
    try:
        if request.param == "nginx":
            nginx.check()
            site = behind.folder / "deploy" / "nginx.conf"
            seen.processes.append(nginx.start(run, seen.port, site, tls, certificate))
        else:
            apache.check()
            site = behind.folder / "deploy" / "apache-proxy.conf"
            seen.processes.append(apache.start(run, seen.port, site.read_text(), tls, certificate))

        def up() -> bool:
            assert seen.processes[0].poll() is None, list(run.rglob("*.log"))
            try:
                return seen.get("/opus/healthz").status == 200
            except OSError:
                return False

        eventually(up)
        yield Front(run, seen, tls, ssl.create_default_context(cafile=certificate), behind)
    finally:
        seen.stop()
        shutil.rmtree(run, ignore_errors=True)


@pytest.fixture
def job(front) -> str:
    """One that is not begun."""
    return create(front, ledger="-")


def test_a_password_arrives(front, job):
    assert front.seen.get("/opus/rest/ledger", headers={"Authorization": ""}).status == 401
    wrong = f"Basic {base64.b64encode(b'ann:wrong').decode()}"
    assert front.seen.get("/opus/rest/ledger", headers={"Authorization": wrong}).status == 401
    assert front.seen.get(f"{job}/owner").text == "ann"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_address_is_one_that_leads_back_through_the_proxy(front, scheme):
    """Also under a name of the site's own, where passwords are taken over TLS alone."""
    root = {"http": f"{front.seen.url}/opus", "https": f"https://{apache.HOST}/opus"}[scheme]

    def ask(method: str, path: str, accept: str = "*/*", body: bytes | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", front.seen.port, 30)
        host = {}
        if scheme == "https":
            connection = http.client.HTTPConnection("127.0.0.1", front.tls, 30)
            connection.connect()
            connection.sock = front.context.wrap_socket(
                connection.sock, server_hostname=apache.HOST
            )
            host = {"Host": apache.HOST}
        return asked(connection, method, path, body, ANN | host | {"Accept": accept})

    made = ask("POST", "/opus/rest/ledger", body=b"ledger=-")
    assert made.status == 303, made.text
    assert made.location.startswith(f"{root}/rest/ledger/")
    links = re.findall(r'href="([^"]+)"', ask("GET", "/opus/rest/ledger").text)
    assert links
    assert all(link.startswith(f"{root}/rest/ledger/") for link in links)
    job = urlsplit(made.location).path
    for page in ("/opus/", "/opus/jobs", "/opus/rest/ledger", "/opus/new/ledger", job):
        answer = ask("GET", page, "text/html")
        assert answer.status == 200, page
        found = re.findall(r'(?:href|src|action|data-[a-z]*url)="([^"#][^"]*)"', answer.text)
        inside = [urljoin(root + page.removeprefix("/opus"), one) for one in found]
        assert inside
        assert [one for one in inside if one != root and not one.startswith(f"{root}/")] == [], page
        files = [urlsplit(one).path for one in inside if one.endswith((".css", ".js"))]
        assert {ask("GET", one).status for one in files} == {200}


def test_an_upload_comes_as_it_is_sent_and_its_job_runs(front):
    """In chunks, half of it before the other half is there: no proxy keeps it until it is whole."""
    table = b"x" * MAX_UPLOAD
    head = b'--f\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
    body = b"".join(
        [
            *(head % (b"ledger", b""), b"-\r\n", head % (b"PHASE", b""), b"RUN\r\n"),
            *(head % (b"file", b'; filename="t.csv"'), table, b"\r\n--f--\r\n"),
        ]
    )
    half = len(body) // 2
    with socket.create_connection(("127.0.0.1", front.seen.port), 30) as client:
        client.sendall(
            b"POST /opus/rest/ledger HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: multipart/form-data; boundary=f\r\n"
            + f"Authorization: {ANN['Authorization']}\r\n\r\n".encode()
            + b"%x\r\n" % half
            + body[:half]
            + b"\r\n"
        )
        eventually(lambda: arrived(front) > half - 200_000)
        assert kept(front) == []
        client.sendall(b"%x\r\n" % (len(body) - half) + body[half:] + b"\r\n0\r\n\r\n")
        answer = http.client.HTTPResponse(client)
        answer.begin()
        made = answer.headers["Location"]
    assert answer.status == 303
    assert made.startswith("http://localhost/opus/rest/ledger/")
    job = urlsplit(made).path
    assert eventually(lambda: over(front, job), 60) == "COMPLETED"
    assert front.seen.get(f"{job}/parameters/file").body == table
    assert kept(front) == []


def test_fifty_who_wait_leave_threads_for_others(front, job):
    slowest = crowd(
        lambda: front.seen.get(f"{job}?WAIT=4"), lambda: front.seen.get("/opus/healthz"), 4
    )
    assert slowest < 2, f"a plain page took {slowest:.1f} s"


def test_the_address_of_a_client_is_its_own_whatever_it_says(front):
    forged = {"X-Forwarded-For": "192.0.2.66", "X-Forwarded-Host": "evil.example.org"}
    forged |= {"X-Forwarded-Proto": "https", "X-Forwarded-Port": "666", "X-Forwarded-Prefix": "/x"}
    made = from_elsewhere(front.seen.port, "/opus/rest/ledger", b"ledger=-", ANN | forged)
    assert made.location.startswith(f"{front.seen.url}/opus/rest/ledger/")
    log = front.behind.folder / "stderr.log"
    before = len(log.read_text())
    proof = b"NAME=ann&PROOF=wrong"
    assert from_elsewhere(front.seen.port, "/opus/signin", proof, forged).status == 401
    # Around the proxy, and with such headers, nobody is taken for somebody on this machine.
    assert from_elsewhere(front.behind.port, "/signin", proof, forged).status == 403
    [entry] = [one for one in log.read_text()[before:].splitlines() if one.endswith(": audit")]
    assert 'act="sign-in refused"' in entry
    assert f" subject=ann address={ELSEWHERE} " in entry


def test_a_change_comes_through_at_once(front):
    seq = front.seen.document("/opus/changes")["seq"]
    answers: list[Answer] = []
    waiter = threading.Thread(
        target=lambda: answers.append(front.seen.get(f"/opus/changes?after={seq}&WAIT=4"))
    )
    begin = time.monotonic()
    waiter.start()
    time.sleep(0.5)  # that it waits cannot be seen from outside
    made = front.seen.post("/opus/rest/ledger", {"ledger": "-"}).location
    waiter.join(10)
    assert time.monotonic() - begin < 3
    assert [row["jobId"] for row in json.loads(answers[0].body)["changes"]] == [
        made.rsplit("/")[-1]
    ]


def test_a_restart_behind_the_proxy_is_over_when_it_is_and_loses_no_job(front):
    ledger = front.run / "ledger"
    job = create(front, ledger=str(ledger), PHASE="RUN")
    eventually(lambda: runs(ledger) == 1)
    [server] = front.behind.processes
    server.send_signal(signal.SIGTERM)
    assert server.wait(20) == 0
    front.behind.processes.clear()
    assert front.seen.get(f"{job}/phase").status in (502, 503)
    front.behind.serve()
    assert front.seen.get(f"{job}/phase").text == "EXECUTING"
    front.behind.end(ledger)
    assert eventually(lambda: over(front, job), 60) == "COMPLETED"
    assert runs(ledger) == 1


def test_an_encoded_slash_is_left_to_the_application(front):
    answer = front.seen.get("/opus/rest/ledger/a%2Fb")
    assert answer.status == 404
    assert "there is no" in answer.text


def test_what_is_too_large_for_opus_is_refused_in_front(front):
    headers = {"Content-Type": "application/octet-stream"}
    answer = front.seen.request(
        "POST", "/opus/rest/ledger", body=bytes(MAX_UPLOAD + MAX_BODY + 1), headers=headers
    )
    assert answer.status == 413


# -- what they ask


def create(front: Front, **fields: str) -> str:
    answer = front.seen.post("/opus/rest/ledger", fields)
    assert answer.status == 303, answer.text
    return answer.location


def over(front: Front, job: str) -> str | None:
    phase = front.seen.get(f"{job}/phase").text
    return phase if phase in OVER else None


def arrived(front: Front) -> int:
    """How much of the requests that are under way has reached OPUS [byte]."""
    spool = str(front.behind.folder / "spool")
    found = 0
    for file in Path(f"/proc/{front.behind.processes[0].pid}/fd").iterdir():
        with suppress(OSError):
            if str(file.readlink()).startswith(spool):
                found += file.stat().st_size
    return found


def kept(front: Front) -> list[Path]:
    """Files that the proxy has put somewhere."""
    return [one for name in nginx.KEPT for one in (front.run / name).rglob("*") if one.is_file()]


def from_elsewhere(port: int, path: str, body: bytes, headers: dict[str, str]) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, 30, source_address=(ELSEWHERE, 0))
    return asked(connection, "POST", path, body, headers)


def asked(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
) -> Answer:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with closing(connection):
        connection.request(method, path, body, form | headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
