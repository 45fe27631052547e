"""What the proxy passes on, and what it does not."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from opus_core.bodies import Body
from opus_core.elsewhere import parse
from opus_core.errors import BadRequest, NotAllowed, Unavailable
from opus_core.proxy import _MOST_KNOWN, CREDENTIALS, Proxy
from web import answering_by

LARGE = 3_000_000  # [byte]


class Service(BaseHTTPRequestHandler):
    """Says what it was sent, and some things that are nobody's business."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, dict[str, str], bytes]]
    go: threading.Event

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if self.path != "/deaf" else b""
        self.seen.append((self.command, self.path, dict(self.headers), body))
        if self.path == "/away":
            return self._send(303, b"", Location="http://example.org/x")
        if self.path == "/on":
            return self._send(303, b"", Location="/async/1")
        if self.path == "/slow":
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"first")
            self.wfile.flush()
            self.go.wait(20)
            self.wfile.write(b"later")
            return None
        if self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.close_connection = True
            return None
        if self.path == "/nonsense":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            self.close_connection = True
            return None
        if self.path == "/folded":
            folded = {"ETag": '"a\r\n b"', "Link": "<x>;\r\n\trel=next", "Retry-After": "1\x002"}
            return self._send(200, b"said", **folded, **{"Content-Disposition": 'x="\xe9"'})
        if self.path == "/early":
            self.wfile.write(b"HTTP/1.1 199 Odd\r\n\r\n")
            self.close_connection = True
            return None
        if self.path == "/deaf":
            self.close_connection = True
            return self._send(413, b"too large")
        return self._send(
            200, b"said", **{"Set-Cookie": "a=b", "WWW-Authenticate": "Basic", "ETag": '"1"'}
        )

    do_POST = do_DELETE = do_PUT = do_OPTIONS = do_HEAD = do_GET

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/html", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *said: object) -> None:
        return


@pytest.fixture
def handler():
    return type("Bound", (Service,), {"seen": [], "go": threading.Event()})


@pytest.fixture
def origin(handler) -> Iterator[str]:
    with answering_by(handler) as one:
        yield one
        handler.go.set()


@pytest.fixture
def proxy(origin):
    return Proxy(parse([f"{origin}/async"]), at_once=2)


def body_of(data: bytes, **environ: str) -> Body:
    given = {"wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": str(len(data)), **environ}
    return Body(given, LARGE)


def test_a_request_gets_there_with_what_uws_needs(handler, origin, proxy):
    sent = {
        "Accept": "application/xml",
        "Content-Type": "text/plain",
        "Range": "bytes=1-",
        CREDENTIALS: "Bearer theirs",
        "Authorization": "Bearer ours",
        "Cookie": "opus=secret",
        "Origin": "http://here",
        "Referer": "http://here/services",
        "X-Forwarded-For": "10.0.0.1",
        "X-Opus-Csrf": "word",
    }
    data = b"x" * 200_000
    answer = proxy.ask("POST", f"{origin}/async/a%2Fb?c=%20d&e", sent, body_of(data))
    assert (answer.status, b"".join(answer.body)) == (200, b"said")
    method, path, headers, body = handler.seen[0]
    assert (method, path, body) == ("POST", "/async/a%2Fb?c=%20d&e", data)
    assert headers.pop("Authorization") == "Bearer theirs"
    assert set(headers) == {
        *("Host", "Accept", "Content-Type", "Content-Length", "Range"),
        *("User-Agent", "Accept-Encoding", "Connection"),
    }
    assert dict(answer.headers) == {
        "Content-Length": "4",
        "Content-Type": "text/html",
        "ETag": '"1"',
    }


def test_ones_own_credentials_stay_here(handler, origin, proxy):
    proxy.ask("GET", f"{origin}/async", {"Authorization": "Bearer ours"}, None).body.close()
    assert "Authorization" not in handler.seen[0][2]


def test_another_server_is_not_reached(handler, proxy):
    for url in ("http://127.0.0.1:1/async", "http://example.org/async", "http://localhost/async"):
        with pytest.raises(NotAllowed):
            proxy.ask("GET", url, {}, None)
    assert handler.seen == []


def test_redirections_are_told_and_not_followed(handler, origin, proxy):
    answer = proxy.ask("POST", f"{origin}/on", {}, body_of(b""))
    assert (answer.status, answer.location) == (303, f"{origin}/async/1")
    assert len(handler.seen) == 1
    with pytest.raises(NotAllowed) as refused:
        proxy.ask("GET", f"{origin}/away", {}, None)
    assert "http://example.org" in refused.value.sentence


def test_bytes_are_passed_on_as_they_come(handler, origin, proxy):
    answer = proxy.ask("GET", f"{origin}/slow", {}, None)
    pieces = iter(answer.body)
    assert next(pieces) == b"first"
    handler.go.set()
    assert b"".join(pieces) == b"later"


def test_so_many_at_once_and_places_are_given_back(handler, origin, proxy):
    held = [proxy.ask("GET", f"{origin}/slow", {}, None) for _ in range(2)]
    with pytest.raises(Unavailable) as refused:
        proxy.ask("GET", f"{origin}/async", {}, None)
    assert refused.value.retry_after
    for one in held:
        one.body.close()
        one.body.close()  # safe twice
    for path in ("/away", "/short", "/nonsense", "/async", "/on", "/deaf") * 3:
        try:
            proxy.ask("GET", f"{origin}{path}", {}, None).body.close()
        except (Unavailable, NotAllowed):
            continue
    assert b"".join(proxy.ask("GET", f"{origin}/async", {}, None).body) == b"said"


def test_headers_are_single_lines(origin, proxy):
    answer = proxy.ask("GET", f"{origin}/folded", {}, None)
    answer.body.close()
    assert answer.headers["ETag"] == '"a b"'
    assert answer.headers["Link"] == "<x>; rel=next"
    assert answer.headers["Content-Disposition"] == 'x="\xe9"'
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("path", ["/short", "/nonsense", "/early"])
def test_what_is_no_answer_is_told_in_a_sentence(origin, proxy, path):
    with pytest.raises(Unavailable) as refused:
        proxy.ask("GET", f"{origin}{path}", {}, None)
    assert origin in refused.value.sentence


def test_a_service_that_is_down_is_named(handler):
    with answering_by(handler) as gone:
        pass
    with pytest.raises(Unavailable) as refused:
        Proxy(parse([gone]), at_once=1).ask("GET", f"{gone}/async", {}, None)
    assert refused.value.sentence == f"'{gone}' cannot be reached: Connection refused"


def test_a_body_that_the_service_refuses_is_answered(origin, proxy):
    answer = proxy.ask("POST", f"{origin}/deaf", {}, body_of(b"x" * LARGE))
    assert (answer.status, b"".join(answer.body)) == (413, b"too large")


def test_a_body_without_a_length_is_refused(origin, proxy):
    endless = Body({"wsgi.input": io.BytesIO(b"x"), "wsgi.input_terminated": True}, LARGE)
    with pytest.raises(BadRequest):
        proxy.ask("POST", f"{origin}/async", {}, endless)


def test_what_is_remembered_has_an_end(handler):
    handler.do_GET = handler.do_OPTIONS = lambda self: self._send(200, b"")
    with answering_by(handler) as origin:
        proxy = Proxy(parse([origin]), at_once=1)
        for number in range(_MOST_KNOWN + 2):
            proxy.lets_pages_ask(f"{origin}/{number}", "http://here")
        assert len(proxy._ways) == 2


# -- whether pages may ask by themselves

ALLOWED = {
    "Access-Control-Allow-Origin": "http://here",
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Range, Idempotency-Key",
    "Access-Control-Expose-Headers": "Content-Range, Link, Location, Retry-After",
}


@pytest.mark.parametrize(
    ("changed", "allowed"),
    [
        ({}, True),
        ({"Access-Control-Allow-Origin": "*"}, True),
        ({"Access-Control-Expose-Headers": "*", "Access-Control-Allow-Methods": "*"}, True),
        ({"Access-Control-Allow-Origin": "http://there"}, False),
        ({"Access-Control-Allow-Headers": "*"}, False),
        ({"Access-Control-Allow-Methods": "GET, POST"}, False),
        ({"Access-Control-Expose-Headers": "Link"}, False),
        (dict.fromkeys(ALLOWED, ""), False),
    ],
)
def test_a_service_that_lets_pages_do_all_is_asked_by_them(handler, changed, allowed):
    said = {**ALLOWED, **changed}
    handler.do_GET = handler.do_OPTIONS = lambda self: self._send(200, b"", **said)
    with answering_by(handler) as origin:
        proxy = Proxy(parse([origin]), at_once=1)
        assert proxy.lets_pages_ask(f"{origin}/async", "http://here") is allowed
    # It is remembered: nobody is there any more.
    assert proxy.lets_pages_ask(f"{origin}/async", "http://here") is allowed


def test_a_page_that_came_by_https_asks_nothing_by_http():
    url = "http://vo.example.org/async"
    assert not Proxy(parse([url]), at_once=1).lets_pages_ask(url, "https://here.example.org")


def test_what_cannot_be_reached_from_here_is_for_the_browser_to_try(handler):
    with answering_by(handler) as gone:
        pass
    assert Proxy(parse([gone]), at_once=1).lets_pages_ask(f"{gone}/async", "http://here")
