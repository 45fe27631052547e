"""Bodies arrive whole, or are refused, whatever server the application runs in.

Clients such as `curl -T -` and those in Java send in chunks, without saying how long it will be.
Servers treat that in different ways (PEP 3333 does not know it): some put the body together before
they call the application, some hand it on as it comes and say so by `wsgi.input_terminated`.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from attacked import attacked_site
from servers import LEDGER_WADL, Answer, Site, eventually, site
from wsgi import apache

PYTHON = [sys.executable, "-m"]
SERVERS = {
    "opus serve": [],
    "waitress": [*PYTHON, "waitress", "--listen=127.0.0.1:{port}", "wsgi:application"],
    "gunicorn": [*PYTHON, "gunicorn", "-b", "127.0.0.1:{port}", "--threads=8", "wsgi:application"],
    "cheroot": [*PYTHON, "cheroot", "--bind=127.0.0.1:{port}", "wsgi:application"],
    "granian": [
        *PYTHON,
        "granian",
        "--interface=wsgi",
        "--host=127.0.0.1",
        "--port={port}",
        "--blocking-threads=8",
        "wsgi:application",
    ],
}
WADL = LEDGER_WADL.replace(
    '<param style="query" name="code"',
    '<param style="query" name="file" type="file" required="false"/>\n'
    '          <param style="query" name="code"',
)
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=f"
MAX_BODY, MAX_UPLOAD = 1_000_000, 4_000_000  # [byte]


@pytest.fixture(scope="module", params=[*SERVERS, "apache"])
def one(request, tmp_path_factory) -> Iterator[Site]:
    if request.param == "apache":
        venv = request.getfixturevalue("venv")
        with attacked_site() as opened:  # what it serves has no rights, so its files are elsewhere
            described(opened)
            write_program(opened)
            opened.processes.append(by_apache(opened, venv))
            wait_until_healthy(opened)
            yield opened
        return
    with site(tmp_path_factory.mktemp("served")) as opened:
        described(opened)
        if command := SERVERS[request.param]:
            write_program(opened)
            with (opened.folder / "stderr.log").open("ab") as log:
                process = subprocess.Popen(
                    [part.format(port=opened.port) for part in command],
                    cwd=opened.folder,
                    stdout=log,
                    stderr=log,
                )
            opened.processes.append(process)
            wait_until_healthy(opened)
        else:
            opened.serve()
        yield opened


def described(one: Site) -> None:
    one.configure(
        server=f"port = {one.port}\nthreads = 8\nmax_body = {MAX_BODY}",
        jobs=f"max_upload = {MAX_UPLOAD}",
    )
    one.describe("ledger", "cat $file > $output", WADL)


def write_program(one: Site) -> None:
    (one.folder / "wsgi.py").write_text(
        "from opus_core.wsgi import make_application\n"
        f"application = make_application({str(one.config)!r})\n"
    )


def by_apache(one: Site, venv: Path) -> subprocess.Popen[bytes]:
    """Apache as `opus init` has it, but at the root."""
    written = one.folder / "init"
    apache.init(venv, written)
    conf = (written / "apache.conf").read_text().replace(str(written), str(one.folder))
    conf = apache.replaced(conf, "^WSGIScriptAlias /opus ", "WSGIScriptAlias / ")
    return apache.start(one.folder, one.port, conf)


def wait_until_healthy(one: Site) -> None:
    one.wait_until_up(one.processes[0])
    eventually(lambda: one.get("/healthz").status == 200)


@pytest.fixture(params=["length", "chunks"])
def send(request, one):
    """Sends a body either way; the answer."""

    def sent(method: str, url: str, body: bytes, content_type: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=60)
        headers = {"Content-Type": content_type}
        pieces = None
        if request.param == "chunks":
            headers["Transfer-Encoding"] = "chunked"
            # Sizes that are nobody's buffer size, the first of a single byte.
            pieces = (body[max(0, at) : at + 7001] for at in range(-7000, len(body), 7001))
        try:
            try:
                connection.request(
                    method, url, pieces or body, headers, encode_chunked=pieces is not None
                )
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before all was sent; the answer is there to be read
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    return sent


def path(answer: Answer) -> str:
    assert answer.status == 303, answer.text
    return "/" + answer.location.split("/", 3)[3]


def part(data: bytes, name: str = "file", file: str = "a.dat") -> bytes:
    file_name = f'; filename="{file}"' if file else ""
    head = f'--f\r\nContent-Disposition: form-data; name="{name}"{file_name}\r\n\r\n'
    return head.encode() + data + b"\r\n"


def upload(data: bytes) -> bytes:
    return part(b"-", "ledger", "") + part(data) + b"--f--\r\n"


def jobs_and_files(one: Site) -> tuple[int, int]:
    """How many jobs there are, and how many input files."""
    return len(one.jobs("ledger")), len(list((one.folder / "data" / "jobs").glob("*/*/input/*")))


DATA = bytes(range(256)) * 12_000  # 3 MB


def test_a_long_text_in_a_form_arrives_whole(one, send):
    text = "abc%2B" * 50_000
    job = path(send("POST", "/rest/ledger", f"ledger=-&text={text}".encode(), FORM))
    assert one.get(f"{job}/parameters/text").text == "abc+" * 50_000


def test_an_upload_of_some_megabytes_arrives_whole(one, send):
    job = path(send("POST", "/rest/ledger", upload(DATA), MULTIPART))
    assert one.get(f"{job}/parameters/file").body == DATA
    assert one.get(f"{job}/parameters/ledger").text == "-"


def test_a_put_parameter_arrives_whole(one, send):
    job = path(send("POST", "/rest/ledger", b"ledger=-", FORM))
    assert send("PUT", f"{job}/parameters/text", b"t" * 300_000, "text/plain").status == 303
    assert one.get(f"{job}/parameters/text").body == b"t" * 300_000
    sent = send("PUT", f"{job}/parameters/file", DATA, "application/octet-stream")
    assert sent.status == 303
    assert one.get(f"{job}/parameters/file").body == DATA


def test_an_empty_body_is_one_too(one, send):
    answer = send("POST", "/rest/ledger?ledger=-", b"", FORM)
    assert one.get(f"{path(answer)}/parameters/ledger").text == "-"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"ledger=-&text=" + b"x" * (MAX_BODY + 1), FORM),
        (upload(bytes(MAX_UPLOAD + 1)), MULTIPART),
        (upload(bytes(MAX_UPLOAD + MAX_BODY)), MULTIPART),
        (part(b"x" * MAX_BODY, "text", "") + upload(b""), MULTIPART),
    ],
    ids=["text", "file", "all", "field"],
)
def test_what_is_beyond_a_limit_is_413_and_leaves_nothing(one, send, body, content_type):
    before = jobs_and_files(one)
    answer = send("POST", "/rest/ledger", body, content_type)
    assert answer.status == 413
    assert "the most" in answer.text
    assert jobs_and_files(one) == before


@pytest.mark.parametrize(("name", "most"), [("text", MAX_BODY), ("file", MAX_UPLOAD)])
def test_a_put_parameter_has_a_limit_to_the_byte(one, send, name, most):
    job = path(send("POST", "/rest/ledger", b"ledger=-", FORM))
    url = f"{job}/parameters/{name}"
    assert send("PUT", url, b"x" * most, "text/plain").status == 303
    assert send("PUT", url, b"y" * (most + 1), "text/plain").status == 413
    assert one.get(url).body == b"x" * most


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 500000\r\n\r\n" + upload(DATA)[:300_000],
        b"Transfer-Encoding: chunked\r\n\r\n" + b"493e0\r\n" + upload(DATA)[:300_000],
        b"Transfer-Encoding: chunked\r\n\r\n"
        + b"493e0\r\n"
        + upload(DATA)[:300_000]
        + b"\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"-5\r\n" + upload(DATA)[:300_000],
    ],
    ids=["cut off", "cut off in a chunk", "no size", "negative size"],
)
def test_half_a_body_makes_no_job_and_leaves_nothing(one, rest):
    before = jobs_and_files(one)
    with socket.create_connection(("127.0.0.1", one.port), timeout=30) as client:
        head = f"POST /rest/ledger HTTP/1.1\r\nHost: localhost\r\nContent-Type: {MULTIPART}\r\n"
        answer = b""
        try:
            client.sendall(head.encode() + rest)
            client.shutdown(socket.SHUT_WR)
            while data := client.recv(65536):
                answer += data
        except OSError:
            pass  # a server may hang up on what is no HTTP, and then without a word
    # Apache's own word to a client that has gone is 500, whatever the application says.
    refused = (b"400", b"413", b"500") if b"Apache" in answer else (b"400", b"413")
    assert not answer or answer.split()[1] in refused, answer[:300]
    assert b"the log has it as request" not in answer
    eventually(lambda: jobs_and_files(one) == before)
    assert "Traceback" not in (one.folder / "data" / "opus.log").read_text()


def test_a_result_comes_back_in_parts_and_under_its_tag(one):
    headers = {"Content-Type": MULTIPART}
    job = path(one.request("POST", "/rest/ledger", body=upload(DATA), headers=headers))
    url = f"{job}/parameters/file"
    whole = one.get(url)
    assert (whole.status, whole.headers["Content-Length"]) == (200, str(len(DATA)))
    some = one.get(url, headers={"Range": "bytes=1000000-", "If-Range": whole.headers["ETag"]})
    assert (some.status, some.body) == (206, DATA[1_000_000:])
    none = one.get(url, headers={"If-None-Match": whole.headers["ETag"]})
    assert (none.status, none.body) == (304, b"")
    head = one.request("HEAD", url)
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(len(DATA)), b"")
