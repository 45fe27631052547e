"""A real receiver of webhooks on loopback, which answers as a test says."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Post:
    path: str
    headers: dict[str, str]  # by names in lower case
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.body)["data"]


@dataclass
class Receiver:
    port: int
    posts: list[Post] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)  # to the next posts; then 204

    def at(self, path: str = "/hook", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def will(self, status: int, times: int = 1, **headers: str) -> None:
        """Answer the next posts with this status, and headers given as `retry_after="1"`."""

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        self.answers += [answer] * times

    def will_say(self, *pieces: bytes, between: Callable[[], Any] = lambda: None) -> None:
        """Answer the next post with these bytes, head included, as they are."""

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            for piece in pieces:
                handler.wfile.write(piece)
                handler.wfile.flush()
                between()

        self.answers.append(answer)

    def told(self) -> list[tuple[str, str]]:
        """Job and phase of each post, in their order."""
        return [(post.data["job"], post.data["new"]) for post in self.posts]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that has had enough is no error here."""


@contextmanager
def receiver(port: int = 0, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """One that listens, on a port of its own unless told which."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.posts.append(Post(self.path, headers, body))
            if found.answers:
                found.answers.pop(0)(self)
                return
            self.send_response(204)
            self.end_headers()

        def do_GET(self) -> None:
            found.posts.append(Post(f"GET {self.path}", {}, b""))
            self.send_error(405)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = _Server(("127.0.0.1", port), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    found = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
