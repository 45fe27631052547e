"""Files that a browser gets from an origin of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from web import answering_by

_KINDS = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript"}


@contextmanager
def served(folders: Mapping[str, Path], port: int) -> Iterator[str]:
    """Serve the files of folders by the names of the folders; answers the origin. `/` is a page
    with nothing on it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            folder, _, name = self.path.strip("/").partition("/")
            file = folders[folder] / Path(name).name if folder in folders else None
            if file is not None and file.is_file():
                self._send(200, file.read_bytes(), _KINDS[file.suffix])
            elif self.path == "/":
                self._send(200, b"<!doctype html><html lang=en><title>Tests</title>", "text/html")
            else:
                self._send(404, b"", "text/plain")

        def _send(self, status: int, data: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *said: object) -> None:
            return

    with answering_by(Handler, port) as origin:
        yield origin
