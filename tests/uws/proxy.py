"""A reverse proxy as web servers have them: it offers a server at a path of its own."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from web import answering_by

HOP = {"connection", "keep-alive", "transfer-encoding"}


@contextmanager
def proxy(
    port: int,
    *,
    path: str = "",
    inner: str = "",
    keep_host: bool = True,
    said: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Offer what is at `inner` of 127.0.0.1:`port` at `path`; answers the URL it is offered at.

    `keep_host`: the name by which the client called is passed on (nginx's and Apache's own
    default is not to). `said` is what it says of the client's request, as headers; `HOST` in one
    stands for the host that the client called.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            if not self.path.startswith(path):
                self.send_error(404, "this is not offered here")
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
            called = self.headers["Host"]
            headers |= {name: text.replace("HOST", called) for name, text in (said or {}).items()}
            if not keep_host:
                headers["Host"] = f"127.0.0.1:{port}"
            server = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
            try:
                target = inner + self.path.removeprefix(path)
                server.request(self.command, target or "/", body=body or None, headers=headers)
                answer = server.getresponse()
                content = answer.read()
            finally:
                server.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP | {"content-length", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = do_PUT = forward

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with answering_by(Handler) as origin:
        yield f"{origin}{path}"
