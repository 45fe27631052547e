"""How the embedded server takes requests in: held to HTTP, and refused in our own words.

A body that is not taken (see `opus_core.spool`) is refused at its first byte. Its request is handed
to the application all the same, with an input that raises the reason when it is read: so the answer
has the application's words and format. The connection is closed behind it, and what the client
still sends is thrown away for some seconds, since a connection that is simply closed would take the
answer with it.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn

from waitress import server as server_module
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import WSGITask
from waitress.utilities import BadRequest, Error

from opus_core.departure import GONE, has_left
from opus_core.errors import OpusError
from opus_core.pacing import PacedChannel
from opus_core.spool import IN_MEMORY, Body, Spool
from opus_core.unsent import Unsent
from opus_core.values import split_host

_LINGER: Final = 5.0  # [s] that a refused client may go on sending
_LONGEST_LINE: Final = 65536  # [byte] between two chunks, or of all lines behind the last


class _OtherVersion(Error):
    """An answer of waitress's own."""

    code = 505
    reason = "HTTP Version Not Supported"


class _Unanswerable(Exception):
    """The application would not understand the request; the answer is there already."""

    def __init__(self, answer: Error) -> None:
        super().__init__(answer)
        self.answer = answer


class _Refused:
    """Stands where a body would be received, and where the application would read it."""

    def __init__(self, error: OpusError) -> None:
        self._error = error

    def getfile(self) -> _Refused:
        return self

    getbuf = getfile

    def read(self, size: int = -1) -> NoReturn:
        raise self._error

    def close(self) -> None:
        """Nothing was taken."""


class _Parser(HTTPRequestParser):
    """Receives one request."""

    body_rcv: Any
    headers: Any

    def __init__(self, adj: Any, spool: Spool, on_refusal: Callable[[], None]) -> None:  # noqa: ANN401
        super().__init__(adj)
        self._spool = spool
        self._on_refusal = on_refusal

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.version and not self.version.startswith("1."):
            raise _Unanswerable(_OtherVersion("only HTTP/1.0 and HTTP/1.1 are spoken here"))
        host = self.headers.get("HOST")
        if host is None and self.version not in ("", "1.0"):
            raise ParsingError("there is no Host header")
        if host and split_host(host) is None:  # two of them have been joined by a comma
            raise ParsingError("the Host header is not the name of a host")
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            # A proxy that goes by the length would take us for answering another's request
            # (RFC 9112 section 6.3).
            raise ParsingError("there is both a Content-Length and a Transfer-Encoding")
        if self.body_rcv is not None:
            length = None if self.chunked else self.content_length
            self.body_rcv.buf = Body(self._spool, length)

    def received(self, data: bytes) -> int:
        try:
            taken = int(super().received(data))
            if self.chunked and not self.completed:
                self._look_at_chunks()
            if self.error is None:
                return taken
            self._on_refusal()
            return len(data)
        except _Unanswerable as error:
            self.body_rcv, self.error = None, error.answer
            self.headers_finished = self.completed = True
            self._on_refusal()
            return len(data)
        except OpusError as error:
            self.close()
            self.body_rcv = _Refused(error)
            self.headers["CONNECTION"] = "close"
            self.expect_continue = False
            self.headers_finished = self.completed = True
            self._on_refusal()
            return len(data)  # the rest would be taken for another request

    def _look_at_chunks(self) -> None:
        """What waitress would only find at the end of a chunk, or of a line, that has none."""
        chunks = self.body_rcv
        chunks.buf.expect(chunks.chunk_remainder)
        if max(len(chunks.control_line), len(chunks.trailer)) > _LONGEST_LINE:
            self.close()
            raise _Unanswerable(BadRequest("a line between the chunks is too long"))


class _Task(WSGITask):
    """A request that is being answered."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[GONE] = partial(has_left, self.channel.socket)
        return environ


class _Channel(PacedChannel):
    """A connection."""

    task_class = _Task
    _flush_exception: Any

    def __init__(self, unsent: Unsent, *rest: Any, **more: Any) -> None:  # noqa: ANN401 - waitress's
        self._spool = unsent.spool
        self._refusing = False
        self._lingering: float | None = None  # when to stop listening to a refused client
        super().__init__(unsent, *rest, **more)

    def parser_class(self, adj: Any) -> _Parser:  # type: ignore[override]  # noqa: ANN401
        """A class in waitress; here what is called for every request."""
        return _Parser(adj, self._spool, self._refuse)

    def _refuse(self) -> None:
        self._refusing = True

    def readable(self) -> bool:
        if self._lingering is not None:
            return not self.will_close
        return bool(super().readable())

    def handle_write(self) -> None:
        if not (self._refusing and self.close_when_flushed):
            super().handle_write()
            return
        self._flush_exception(self._flush_some)
        if self.will_close:
            self.handle_close()
        elif not self.total_outbufs_len:
            self.close_when_flushed = False
            self._lingering = time.monotonic() + _LINGER
            self.socket.shutdown(socket.SHUT_WR)

    def received(self, data: bytes) -> bool:
        if self._lingering is None:
            return bool(super().received(data))
        if time.monotonic() > self._lingering:
            self.will_close = True
        return False

    def handle_close(self) -> None:
        super().handle_close()
        unfinished = self.request
        if unfinished is not None:
            unfinished.close()


def create_server(application: Any, spool: Spool, **adjustments: Any) -> Any:  # noqa: ANN401
    """waitress around an application, with bodies in the spool, which is prepared.

    `adjustments` are waitress's. Raises `OSError` if it cannot listen.
    """
    server: Any = server_module.create_server(
        application,
        inbuf_overflow=IN_MEMORY,
        recv_bytes=IN_MEMORY,
        max_request_body_size=sys.maxsize,  # the spool has the limit
        **adjustments,
    )
    unsent = Unsent(spool)
    several = isinstance(server, server_module.MultiSocketServer)
    for one in server.map.values() if several else [server]:
        if isinstance(one, server_module.BaseWSGIServer):
            one.channel_class = partial(_Channel, unsent)  # type: ignore[assignment]
    return server
