"""What the embedded server makes of requests that are none, before the application sees them."""

from __future__ import annotations

import resource
import socket

import pytest

from core.test_spool import LIMITS, everything, head, served
from opus_core.spool import Spool


@pytest.fixture
def port(tmp_path):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["REQUEST_METHOD"].encode(), b" is answered"]

    with served(app, Spool(tmp_path / "spool", largest=LIMITS.max_total)) as port:
        yield port


def said(port, *lines):
    """Status and text of the answer to a request without a body."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall("\r\n".join((*lines, "Connection: close", "", "")).encode("latin-1"))
        answer = everything(client)
    return int(answer.split()[1]), answer.partition("\r\n\r\n")[2]


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_a_request_without_a_host_is_refused(port, version):
    """RFC 9112 section 3.2."""
    status, text = said(port, f"GET / HTTP/{version}")
    assert status == 400
    assert "there is no Host header" in text
    assert said(port, f"GET / HTTP/{version}", "Host: x")[0] == 200


def test_an_old_client_may_say_no_host(port):
    assert said(port, "GET / HTTP/1.0")[0] == 200


def test_a_host_may_be_empty(port):
    """RFC 9110 section 7.2: of an address that has none."""
    assert said(port, "GET / HTTP/1.1", "Host:")[0] == 200


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    "hosts",
    [
        ("a", "b"),
        ("a", "a"),
        ("a/b",),
        ("a b",),
        ("a,b",),
        ("a:b",),
        ("[::1",),
        ("\xe9",),
        ("[ff]",),
    ],
)
def test_a_host_that_is_none_or_several_is_refused(port, version, hosts):
    lines = [f"Host: {host}" for host in hosts]
    status, text = said(port, f"GET / HTTP/{version}", *lines)
    assert status == 400
    assert "the Host header is not the name of a host" in text


@pytest.mark.parametrize("version", ["0.9", "2.0", "3.0", "9.9"])
def test_another_version_of_http_is_not_spoken(port, version):
    assert said(port, f"GET / HTTP/{version}", "Host: x")[0] == 505


def test_a_chunk_that_is_announced_too_large_is_refused_at_once(port):
    with head(port, "Transfer-Encoding: chunked") as client:
        client.sendall(f"{LIMITS.max_total + 1:x}\r\nx".encode())
        # The application answers; it has not asked for the body.
        assert everything(client).startswith("HTTP/1.1 200 ")


@pytest.mark.parametrize("before", [b"", b"5;", b"5\r\nhello\r\n", b"0\r\nTrailer: "])
def test_a_line_between_chunks_that_never_ends_is_not_kept(port, before):
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with head(port, "Transfer-Encoding: chunked") as client:
        client.sendall(before)
        for _ in range(100):
            client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        assert everything(client).startswith("HTTP/1.1 400 ")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 5_000  # [kB]


@pytest.mark.parametrize("wrong", ["Content-Length: many", "nonsense", "Host: b"])
def test_a_client_that_sends_on_gets_the_answer_all_the_same(port, wrong):
    """It sends far more than socket buffers hold, and looks at the answer afterwards."""
    with head(port, wrong) as client:
        for _ in range(300):
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3_000)
        client.shutdown(socket.SHUT_WR)
        answer = everything(client)
    assert answer.split()[1] == "400"
    assert "is answered" not in answer


def test_a_line_between_chunks_that_is_too_long_is_refused(port):
    with head(port, "Transfer-Encoding: chunked") as client:
        client.sendall(b"5;x=" + b"x" * 70_000)
        assert "a line between the chunks is too long" in everything(client)
