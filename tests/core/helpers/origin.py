"""A real web server on loopback that answers as a test says, for what is fetched from elsewhere."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@dataclass
class Origin:
    """The server's port, what it answers by path, and the requests it has seen."""

    port: int
    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)  # asked for in TLS

    def at(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def put(self, path: str, body: bytes, status: int = 200, **headers: str) -> None:
        """Answer with a body, and headers given as `content_type="..."`."""

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in {"content_length": str(len(body)), **headers}.items():
                if value:
                    handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        self.answers[path] = answer

    def lead(self, path: str, location: str, status: int = 302) -> None:
        self.put(path, b"", status, location=location)

    def say(self, path: str, *pieces: bytes, then: Callable[[], Any] = lambda: None) -> None:
        """Answer with these bytes, head included, as they are."""

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            for piece in pieces:
                handler.wfile.write(piece)
            handler.wfile.flush()
            then()

        self.answers[path] = answer


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has had enough is no error here."""


@contextmanager
def origin(context: ssl.SSLContext | None = None) -> Iterator[Origin]:
    """An origin server while the context lasts; with TLS if a context for it is given."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            one.seen.append((self.path, dict(self.headers)))
            one.answers[self.path.partition("?")[0]](self)
            self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            """Quietly."""

    server = _Server(("127.0.0.1", 0), Handler)
    one = Origin(server.server_port)
    if context is not None:

        def sni(sock: object, name: str | None, at: object) -> None:
            one.names.append(name)

        context.sni_callback = sni
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield one
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
