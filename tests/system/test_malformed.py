"""Connections that are no use: malformed, half sent, hung up, idle. Others are served meanwhile,
and nothing of the server's is used up for good."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from attacked import attacked_site
from servers import LEDGER_WADL, eventually

THREADS = 16  # as Site has them
UPLOAD = LEDGER_WADL.replace('name="ledger"', 'name="table"').replace(
    'type="xs:string" required="true"', 'type="file" required="false"', 1
)
LARGE = 24 * 2**20

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = b"POST /rest/quick HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
SILENCE = None  # nothing is said, and the connection is closed when the client closes it
# What is sent, and every answer to it that is right by RFC 9110 and 9112.
MALFORMED = {
    "nothing at all": (b"\r\n\r\n", {SILENCE, 400}),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n", {400}),
    "one word": (b"GET\r\n\r\n", {400}),
    "no such version": (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", {400, 505}),
    "lower case": (b"get / http/1.1\r\nhost: x\r\n\r\n", {400, 405, 501}),
    "a NUL in the line": (b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 404}),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", {400}),
    "no host, long ago": (b"GET /healthz HTTP/1.0\r\n\r\n", {200}),
    "two hosts": (REQUEST + b"Host: y\r\n\r\n", {400}),
    "a host that is none": (b"GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n", {400}),
    "a header without a colon": (REQUEST + b"nonsense\r\n\r\n", {400}),
    "a header without a name": (REQUEST + b": value\r\n\r\n", {400}),
    "a blank before the colon": (REQUEST + b"Accept : text/html\r\n\r\n", {400}),
    "a folded header": (REQUEST + b"Accept: text/\r\n html\r\n\r\n", {200, 400}),
    "a NUL in a header": (REQUEST + b"Accept: \0\r\n\r\n", {400}),
    "bytes in a header": (REQUEST + b"Accept: \xff\xfe\xfd\r\n\r\n", {200, 400}),
    "line ends alone": (REQUEST.replace(b"\r\n", b"\n") + b"\n", {SILENCE, 200, 400}),
    "300 kB of headers": (REQUEST + b"X-Long: " + b"x" * 300_000 + b"\r\n\r\n", {431}),
    "10,000 headers": (REQUEST + b"X-Many: x\r\n" * 10_000 + b"\r\n", {200, 431}),
    "a path of 100 kB": (
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        {404, 414},
    ),
    "a length that is none": (REQUEST + b"Content-Length: many\r\n\r\n", {400}),
    "a length below nothing": (REQUEST + b"Content-Length: -1\r\n\r\n", {400}),
    # The body is of no use to the request, and none of it is taken.
    "a length beyond all": (
        REQUEST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
        {200, 400, 413},
    ),
    "two lengths": (
        REQUEST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        {400},
    ),
    "a length and chunks": (
        REQUEST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "chunks of another kind": (REQUEST + b"Transfer-Encoding: gzip\r\n\r\n", {400, 501}),
    "a chunk that is none": (CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n", {400}),
    "a chunk that is too long": (CHUNKED + b"2\r\nhello\r\n0\r\n\r\n", {400}),
    "a chunk beyond all": (CHUNKED + b"f" * 60 + b"\r\nhello\r\n", {400, 413}),
    "a chunk below nothing": (CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n", {400}),
    "a line between chunks without an end": (CHUNKED + b"5;x=" + b"x" * 300_000, {400}),
    "a whole address": (
        b"GET http://other.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        {200, 421},
    ),
    "a tunnel": (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 404, 405, 501}),
    "another protocol": (REQUEST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", {200}),
}


@pytest.fixture(scope="module")
def one():
    with attacked_site() as opened:
        opened.configure(jobs="max_wait = 3")
        for name, script in (
            ("quick", "echo done\n"),
            ("large", f'head -c {LARGE} /dev/zero > "$output"\n'),
            ("nap", "sleep 600\n"),
            ("cut", "head -c 24000000 /dev/zero; sleep 4; truncate -s 0 /dev/stdout; sleep 600\n"),
        ):
            opened.describe(name, script, UPLOAD.replace('path="ledger"', f'path="{name}"'))
        opened.serve()
        yield opened


@dataclass(frozen=True)
class Used:
    """What the server's process has in use."""

    threads: int
    files: int
    memory: int  # [KiB]
    connections: int

    @classmethod
    def by(cls, one) -> Used:
        folder = Path(f"/proc/{one.processes[0].pid}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        files = []
        for fd in os.listdir(folder / "fd"):
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                files.append(os.readlink(f"{folder}/fd/{fd}"))
        return cls(
            threads=int(status["Threads"]),
            files=sum(not name.startswith("socket:") for name in files),
            memory=int(status["VmRSS"].split()[0]),
            connections=sum(name.startswith("socket:") for name in files),
        )


def nothing_leaks(one, attack):
    """The attack, made again, leaves the server with no more in use than the first time.

    The first time it may grow: a thread keeps what it has opened, a pool its connections.
    """
    used = []
    for _ in range(2):
        for _ in range(2):
            attack()
        answered(one)
        used.append(eventually(lambda: _at_rest(one), 30))
    before, now = used
    # Pools of connections and threads grow and shrink by a few.
    assert now.threads <= before.threads + 4
    assert now.files <= before.files + THREADS
    assert now.memory <= before.memory + 16 * 1024


def _at_rest(one):
    """What is in use, once the connections of those who have gone are closed."""
    used = Used.by(one)
    return used if used.connections <= 3 else None


def answered(one, within=2.0):
    """The server answers others, and soon."""
    begin = time.monotonic()
    assert one.get("/healthz", timeout=30).status == 200
    assert one.get("/rest/quick?LAST=1", timeout=30).status == 200
    took = time.monotonic() - begin
    assert took < within, f"others were answered after {took:.1f} s"


def connect(one) -> socket.socket:
    return socket.create_connection(("127.0.0.1", one.port), 10)


def exchange(one, sent) -> bytes:
    """All that the server says to these bytes, until it or nothing more comes."""
    with connect(one) as connection:
        connection.settimeout(5)
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
        said = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                said += piece
        return said


def hang_up(connection) -> None:
    """Close with a reset, as a client that has gone does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def statuses(said: bytes) -> list[int]:
    """Of the answers; what is no answer of HTTP's is -1."""
    if not said:
        return []
    found = re.findall(rb"(?:\A|\r\n)HTTP/1\.[01] ([0-9]{3}) [A-Z]", said)
    return [int(status) for status in found] if said.startswith(b"HTTP/") else [-1]


@pytest.mark.parametrize(("sent", "right"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_refused_and_others_are_served(one, sent, right):
    said = exchange(one, sent)
    found = statuses(said) or [SILENCE]
    assert len(found) == 1, said[:300]
    assert found[0] in right, said[:300]
    assert b"Traceback" not in said
    answered(one)


def test_malformed_requests_use_nothing_up(one):
    def attack():
        for sent, _ in MALFORMED.values():
            for _ in range(3):
                with connect(one) as connection, contextlib.suppress(ConnectionError):
                    connection.sendall(sent)

    nothing_leaks(one, attack)


def test_a_request_hidden_in_the_body_of_another_is_not_answered(one):
    hidden = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for head in (
        b"POST /rest/nope HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(hidden),
        b"POST /rest/quick HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (len(hidden) + 5),
        b"POST /rest/quick HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n",
    ):
        said = exchange(one, head + hidden)
        assert b'"components"' not in said, said


def test_half_sent_requests_hold_no_thread(one):
    whole = b"POST /rest/quick HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    halves = [b"G", REQUEST, whole, whole + b"x" * 50_000, CHUNKED + b"ffff\r\nhello"]

    def attack():
        with contextlib.ExitStack() as opened:
            for number in range(20 * THREADS):
                connection = opened.enter_context(connect(one))
                connection.sendall(halves[number % len(halves)])
            answered(one)
            assert one.wait(one.create("quick")) == "COMPLETED"

    nothing_leaks(one, attack)


def test_half_sent_files_leave_nothing(one):
    folder = one.folder / "data"
    before = {path for path in folder.rglob("*") if path.is_file()}
    head = (
        b"POST /rest/quick HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n"
        b"Content-Type: multipart/form-data; boundary=f\r\n\r\n"
        b'--f\r\nContent-Disposition: form-data; name="table"; filename="t"\r\n\r\n'
    )

    def attack():
        for _ in range(2 * THREADS):
            connection = connect(one)
            connection.sendall(head + b"x" * 300_000)
            hang_up(connection)

    nothing_leaks(one, attack)
    assert {path for path in folder.rglob("*") if path.is_file()} <= before
    assert one.get("/rest/quick?LAST=1").status == 200


def test_clients_that_hang_up_while_waiting_give_their_slots_back(one):
    job = one.create("nap")
    one.wait(job, {"EXECUTING"})
    path = job.removeprefix(one.url)

    def waited():
        begin = time.monotonic()
        assert one.get(f"{path}?WAIT=1").status == 200
        return time.monotonic() - begin > 0.9

    def attack():
        for _ in range(4 * THREADS):
            connection = connect(one)
            connection.sendall(
                b"GET %s?WAIT=-1 HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode()
            )
            hang_up(connection)
        answered(one)
        # They are given back when their time is up, at the latest.
        eventually(waited, 3 + 5)

    nothing_leaks(one, attack)
    assert one.request("DELETE", job).status == 303


def test_clients_that_hang_up_while_downloading_close_the_file(one):
    job = one.create("large")
    assert one.wait(job) == "COMPLETED"
    path = job.removeprefix(one.url)

    def attack():
        for _ in range(2 * THREADS):
            connection = connect(one)
            connection.sendall(
                b"GET %s/results/output HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode()
            )
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            hang_up(connection)
        answered(one)

    nothing_leaks(one, attack)
    assert len(one.get(f"{path}/results/output").body) == LARGE


def test_more_clients_than_threads_that_read_nothing_stop_nobody(one):
    job = one.create("large")
    assert one.wait(job) == "COMPLETED"
    path = job.removeprefix(one.url).encode()

    def attack():
        with contextlib.ExitStack() as opened:
            for _ in range(2 * THREADS):
                connection = opened.enter_context(socket.socket())
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.connect(("127.0.0.1", one.port))
                connection.sendall(
                    b"GET %s/results/output HTTP/1.1\r\nHost: localhost\r\n\r\n" % path
                )
            answered(one)

    nothing_leaks(one, attack)


def test_an_output_that_is_cut_short_while_it_is_sent_ends_the_connection(one):
    job = one.create("cut")
    size = 24_000_000
    eventually(lambda: int(one.request("HEAD", f"{job}/stdout").headers["Content-Length"]) == size)
    with connect(one) as connection:
        path = job.removeprefix(one.url).encode()
        connection.sendall(b"GET %s/stdout HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
        got = len(connection.recv(1000))
        eventually(lambda: one.request("HEAD", f"{job}/stdout").headers["Content-Length"] == "0")
        connection.settimeout(10)
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(1 << 20):
                got += len(piece)
    assert 1000 <= got < size
    before = _seconds(one)
    time.sleep(1)
    assert _seconds(one) - before < 0.5, "it goes on trying"
    assert one.request("DELETE", job).status == 303


def _seconds(one):
    """What the server's process has used of a processor."""
    fields = Path(f"/proc/{one.processes[0].pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.soak
def test_a_thousand_idle_connections_stop_nobody(one):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))

    def attack():
        with contextlib.ExitStack() as opened:
            for number in range(1000):
                connection = opened.enter_context(connect(one))
                if number % 2:
                    connection.sendall(REQUEST + b"\r\n")
            eventually(lambda: Used.by(one).connections > 1000)
            for _ in range(10):
                answered(one)
            assert one.wait(one.create("quick")) == "COMPLETED"

    nothing_leaks(one, attack)


def test_an_open_connection_does_not_keep_the_server_from_stopping():
    with attacked_site() as apart:
        process = apart.serve()
        with connect(apart) as connection:
            connection.sendall(REQUEST + b"\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            begin = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
            assert time.monotonic() - begin < 5
