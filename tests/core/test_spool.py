"""What the embedded server does with bodies before the application sees them."""

from __future__ import annotations

import errno
import http.client
import os
import socket
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from waitress import wasyncore

from core import wsgi
from opus_core import intake
from opus_core import spool as spools
from opus_core.errors import StorageFull
from opus_core.forms import FormLimits
from opus_core.intake import create_server
from opus_core.spool import IN_MEMORY, Spool
from opus_core.testing.timing import eventually

LIMITS = FormLimits(max_text=300_000, max_file=1_000_000, max_total=1_300_000)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@contextmanager
def served(app, spool, **adjustments):
    """The port of the embedded server around an application."""
    spool.prepare()
    server = create_server(app, spool, host="127.0.0.1", port=0, threads=4, **adjustments)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.effective_port
    finally:
        server.task_dispatcher.shutdown()
        # By the thread that polls them: it would stumble over what another one closes. If that
        # was awake anyway, it has done so already, and there is no trigger any more.
        with suppress(OSError):
            server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map, ignore_all=True))
        thread.join(10)


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool", largest=LIMITS.max_total)


@pytest.fixture
def no_temporary_folder(monkeypatch, tmp_path):
    """Whatever would use the system's temporary folder fails."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))


def connect(port):
    return http.client.HTTPConnection("127.0.0.1", port, timeout=20)


def head(port, *lines):
    """A connection on which the head of a request has been sent."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    text = "\r\n".join(("POST /rest/fit HTTP/1.1", "Host: opus.test", *lines, "", ""))
    connection.sendall(text.encode())
    return connection


def everything(connection):
    """What the server still sends until it closes the connection."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces).decode()


def written(folder):
    """The files in a folder that this process has open, by size; they have no names."""
    sizes = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            if os.readlink(descriptor).startswith(str(folder)):
                sizes.append(descriptor.stat().st_size)
        except FileNotFoundError:  # listed, and closed since
            continue
    return sizes


# -- where a body lies


def test_a_large_body_lies_in_the_folder_until_it_is_whole(site, spool, no_temporary_folder):
    body = b"note=" + b"x" * 250_000
    with served(site.app(limits=LIMITS), spool) as port:
        length = f"Content-Length: {len(body)}"
        with head(port, length, "Content-Type: application/x-www-form-urlencoded") as client:
            client.sendall(body[:200_000])
            eventually(lambda: written(spool.folder) and max(written(spool.folder)) > 100_000, "")
            assert spool.expected == len(body)
            client.sendall(body[200_000:])
            assert client.recv(65536).startswith(b"HTTP/1.1 303 ")
            eventually(lambda: not written(spool.folder), "it is gone once it is answered")
    assert spool.expected == 0
    assert list(spool.folder.iterdir()) == []


def test_a_small_body_never_reaches_the_disk(site, spool):
    spool.folder = Path("/nowhere")  # so that any use of it fails
    spool.prepare = lambda: None
    with served(site.app(limits=LIMITS), spool) as port:
        client = connect(port)
        client.request("POST", "/rest/fit", b"note=" + b"x" * (IN_MEMORY - 6), FORM)
        assert client.getresponse().status == 303
        client.close()


@pytest.mark.parametrize("how", ["length", "chunks"])
def test_nothing_is_kept_of_a_client_that_hangs_up(site, spool, how):
    with served(site.app(limits=LIMITS), spool) as port:
        coding = {"length": "Content-Length: 900000", "chunks": "Transfer-Encoding: chunked"}[how]
        client = head(port, coding)
        client.sendall((b"" if how == "length" else b"dbba0\r\n") + b"x" * 200_000)
        eventually(lambda: written(spool.folder), "the body is on its way")
        assert spool.expected >= 200_000
        client.close()
        eventually(lambda: not written(spool.folder) and not spool.expected, "all is given back")


def test_an_answer_that_nobody_takes_waits_in_the_folder(spool, no_temporary_folder):
    pieces = [b"-"], [b"x" * 4_000_000] * 4

    def app(environ, start_response):
        body = pieces[environ["REQUEST_METHOD"] == "POST"]
        start_response("200 OK", [("Content-Length", str(sum(map(len, body))))])
        return body

    with served(app, spool) as port, head(port, "Connection: close") as client:
        eventually(lambda: sum(written(spool.folder)) > 1_000_000, "the answer lies on the disk")
        assert everything(client).count("x") == 16_000_000
    # A later answer on the same connection as well.
    with served(app, spool) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            eventually(lambda: sum(written(spool.folder)) > 1_000_000, "it lies on the disk")
            assert everything(client).count("x") == 16_000_000


def test_what_an_earlier_run_left_is_removed_at_the_start(spool):
    spool.prepare()
    old, young = spool.folder / "tmpold", spool.folder / "tmpyoung"
    for file in (old, young):
        file.write_bytes(b"x")
    os.utime(old, (time.time() - 4000,) * 2)
    spool.prepare()
    assert (old.exists(), young.exists()) == (False, True)
    assert spool.folder.stat().st_mode & 0o777 == 0o700


# -- limits


def test_a_body_that_is_too_large_is_refused_before_it_comes(site, spool):
    with served(site.app(limits=LIMITS), spool) as port:
        with head(port, "Content-Length: 5000000000") as client:
            answer = everything(client)
    assert answer.startswith("HTTP/1.1 413 ")
    assert "the body has 5000000000 bytes; 1300000 is the most taken here" in answer
    assert "\r\nConnection: close\r\n" in answer
    assert spool.expected == 0


def test_it_is_refused_in_the_format_that_the_client_wants(site, spool):
    with served(site.app(limits=LIMITS), spool) as port:
        client = connect(port)
        client.putrequest("POST", "/rest/fit")
        for name, value in {"Content-Length": "5000000000", "Accept": "application/json"}.items():
            client.putheader(name, value)
        client.endheaders()
        answer = client.getresponse()
        assert answer.status == 413
        assert answer.read().startswith(b'{\n "status": 413,\n "error": "the body has')
        client.close()


def test_a_client_that_asks_first_is_not_told_to_go_on(site, spool):
    with served(site.app(limits=LIMITS), spool) as port:
        with head(port, "Content-Length: 5000000000", "Expect: 100-continue") as client:
            assert everything(client).startswith("HTTP/1.1 413 ")
        with head(port, "Content-Length: 5", "Expect: 100-continue") as client:
            assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("how", ["length", "chunks"])
def test_a_client_that_sends_on_gets_the_answer_all_the_same(site, spool, how):
    """It sends far more than socket buffers hold, and looks at the answer afterwards."""
    piece = b"x" * 100_000
    with served(site.app(limits=LIMITS), spool) as port:
        coding = {"length": "Content-Length: 50000000", "chunks": "Transfer-Encoding: chunked"}[how]
        with head(port, coding, "Content-Type: application/x-www-form-urlencoded") as client:
            for _ in range(300):
                client.sendall(piece if how == "length" else b"186a0\r\n" + piece + b"\r\n")
                assert sum(written(spool.folder)) <= LIMITS.max_total
            client.shutdown(socket.SHUT_WR)
            answer = everything(client)
    assert answer.startswith("HTTP/1.1 413 ")
    assert "1300000" in answer
    assert spool.expected == 0


@pytest.mark.parametrize("host", [b"", b"Host: opus.test\r\n"])
def test_what_follows_a_refused_head_is_not_taken_for_a_request(site, spool, host):
    job = site.client().create()
    smuggled = f"DELETE {job} HTTP/1.1\r\nHost: opus.test\r\n\r\n".encode()
    with served(site.app(limits=LIMITS), spool) as port:
        line = b"POST /rest/fit HTTP/1.1\r\n"
        head_and_body = line + host + b"Content-Length: 5000000000\r\n\r\n" + smuggled
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(head_and_body)
            client.sendall(smuggled)
            client.shutdown(socket.SHUT_WR)
            assert everything(client).count("HTTP/1.1 ") == 1
    assert site.client().get(job).status == 200


def test_a_client_that_never_stops_is_cut_off(site, spool, monkeypatch):
    monkeypatch.setattr(intake, "_LINGER", 0.3)
    with served(site.app(limits=LIMITS), spool) as port:
        with head(port, "Content-Length: 5000000000") as client:

            def refused():
                try:
                    client.sendall(b"x" * 100_000)
                except OSError:
                    return True
                return False

            eventually(refused, "the connection is closed")


def test_a_chunked_body_ends_at_the_limit_to_the_byte(site, spool):
    largest = LIMITS.max_total
    with served(answer_length, spool) as port:
        for size, status in ((largest, "200"), (largest + 1, "413")):
            with head(port, "Transfer-Encoding: chunked", "Connection: close") as client:
                client.sendall(f"{size:x}\r\n".encode() + b"x" * size + b"\r\n0\r\n\r\n")
                assert everything(client).split()[1] == status


def answer_length(environ, start_response):
    """An application that tells how long the body was."""
    from opus_core.errors import TooLarge

    try:
        size = len(environ["wsgi.input"].read())
    except TooLarge:
        start_response("413 Too Large", [("Content-Length", "0")])
        return [b""]
    text = str(size).encode()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]


# -- a disk that is full


def test_no_large_body_is_taken_while_the_disk_has_no_room(site, spool, monkeypatch):
    free = SimpleNamespace(free=1_000_000)
    monkeypatch.setattr(spools.shutil, "disk_usage", lambda folder: free)
    tight = Spool(spool.folder, largest=LIMITS.max_total, min_free=500_000)
    with served(site.app(limits=LIMITS), tight) as port:
        with head(port, "Content-Length: 400000") as first:
            first.sendall(b"x" * 100_000)
            eventually(lambda: tight.expected == 400_000, "the first is on its way")
            with head(port, "Content-Length: 400000") as second:
                answer = everything(second)
            assert answer.startswith("HTTP/1.1 503 ")
            assert "\r\nRetry-After: 60\r\n" in answer
            assert "no room for so large a body now; try again later" in answer
        client = connect(port)
        client.request("POST", "/rest/fit", b"note=small", FORM)
        assert client.getresponse().status == 303
        client.close()
        eventually(lambda: tight.expected == 0, "the first has hung up")


def test_a_disk_that_fills_up_on_the_way_is_503(site, spool, monkeypatch):
    """The errno stands in for a full disk, which cannot be had here."""
    real = tempfile.TemporaryFile

    def full(mode, dir):
        file = real(mode, dir=dir)
        file.close()
        return SimpleNamespace(
            tell=lambda: 0, seek=lambda *to: 0, write=no_space, close=lambda: None
        )

    def no_space(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(spools.tempfile, "TemporaryFile", full)
    with served(site.app(limits=LIMITS), spool) as port:
        with head(port, "Content-Length: 900000", *map(": ".join, FORM.items())) as client:
            client.sendall(b"x" * 900_000)
            client.shutdown(socket.SHUT_WR)
            answer = everything(client)
    assert answer.startswith("HTTP/1.1 503 ")
    assert "no space is left below spool" in answer
    assert str(spool.folder) not in answer
    assert spool.expected == 0


def test_reserving_more_than_there_is_changes_nothing(spool):
    spool.prepare()
    with pytest.raises(StorageFull):
        spool.reserve(2**60)
    assert spool.expected == 0
