"""Apache with mod_wsgi, by the files that `opus init` writes for it: below /opus, five threads."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import Site, eventually
from wsgi import apache

LIST = "/opus/rest/periodogram"
BEARER = {"Authorization": "Bearer ann"}
TABLE = b"year,value\n" + b"".join(b"%d,%d\n" % (year, year % 11) for year in range(1700, 2000))


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
        text = apache.replaced(text, "^# max_wait = 60$", "max_wait = 4")
        site = apache.replaced((folder / "apache.conf").read_text(), "threads=64", "threads=5")
        if sendfile:
            text = apache.replaced(text, "^# sendfile = .*$", 'sendfile = "x-sendfile"')
            site += f"XSendFile On\nXSendFilePath {folder}/jobs\n"
        config.write_text(text)
        client.processes.append(apache.start(folder, client.port, site))
        with (outside / "supervisor.log").open("ab") as log:
            command = [venv / "bin" / "opus", "--config", config, "supervise"]
            client.processes.append(
                subprocess.Popen([*apache.NOBODY, *command], cwd="/", stdout=log, stderr=log)
            )

        def up() -> bool:
            assert client.processes[0].poll() is None, (folder / "run" / "out.log").read_text()
            try:
                return client.get("/opus/healthz").status == 200
            except OSError:
                return False

        eventually(up)
        yield client
        said = (folder / "run" / "error.log").read_text()
        assert "Traceback" not in said, said[-3000:]
    finally:
        client.stop()
        shutil.rmtree(outside, ignore_errors=True)


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

    def over():
        phase = one.get(f"{job}/phase", headers=BEARER).text
        return phase if phase in ("COMPLETED", "ERROR", "ABORTED") else None

    assert eventually(over, 60) == "COMPLETED"
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


def test_more_waiters_than_threads_leave_one_for_others(one):
    job = one.post(LIST, {"longest": "60"}, headers=dict(BEARER)).location
    begin = time.monotonic()
    answers = []
    waiters = [
        threading.Thread(
            target=lambda: answers.append(one.get(f"{job}?WAIT=4", headers=dict(BEARER)))
        )
        for _ in range(20)
    ]
    for waiter in waiters:
        waiter.start()
    slowest = 0.0
    while time.monotonic() - begin < 3:
        asked = time.monotonic()
        assert one.get("/opus/healthz").status == 200
        slowest = max(slowest, time.monotonic() - asked)
    for waiter in waiters:
        waiter.join(30)
    assert [answer.status for answer in answers] == [200] * 20
    assert slowest < 2, f"a plain page took {slowest:.1f} s"
    assert time.monotonic() - begin > 3.5, "nobody has waited"


def test_an_encoded_slash_is_left_to_the_application(one):
    answer = one.get(f"{LIST}/a%2Fb", headers=BEARER)
    assert answer.status == 404
    assert "there is no job" in answer.text
