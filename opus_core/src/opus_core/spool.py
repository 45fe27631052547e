"""Where the embedded server keeps bodies until they are whole: on our own disk, within our limits.

waitress hands a request over when all of its body has come. Left alone it keeps what is larger
than half a megabyte in the system's temporary folder, often a small memory disk, and takes a
gigabyte of a body that is too large before it says so. Here a body lies in a folder of the data
folder, without a name, so that nothing is left behind by a crash; and one that is not taken is
refused at its first byte.

A refused request is handed to the application all the same, with an input that raises the reason
when it is read: so the answer has the application's words and format. The connection is closed
behind it, and what the client still sends is thrown away for some seconds, since a connection that
is simply closed would take the answer with it.
"""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from waitress import server as server_module
from waitress.buffers import OverflowableBuffer, TempfileBasedBuffer
from waitress.parser import HTTPRequestParser, ParsingError

from opus_core import disk
from opus_core.errors import OpusError, StorageFull, TooLarge
from opus_core.pacing import PacedChannel

IN_MEMORY: Final = 65536
"""A body up to this size [byte] never reaches the disk; a thousand such take 64 MiB."""

_STEP: Final = 16 * 2**20  # [byte] by which the room for a body of unknown length grows
_LINGER: Final = 5.0  # [s] that a refused client may go on sending
_RETRY_AFTER: Final = 60.0  # [s]


class Spool:
    """A folder for bodies that are on their way, and how much of the disk they may take.

    Safe for several threads; several processes may share the folder, and each counts its own.
    """

    def __init__(self, folder: Path, *, largest: int, min_free: int = 0) -> None:
        self.folder = folder
        self.largest = largest  # [byte] of one body
        self._min_free = min_free
        self._lock = threading.Lock()
        self._expected = 0

    def prepare(self) -> None:
        """Make the folder, and remove what a file system that has no unnamed files kept of one."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self.folder.iterdir():
            # A younger one may be about to lose its name in another process.
            if left.lstat().st_mtime < time.time() - 3600:
                left.unlink(missing_ok=True)

    @property
    def expected(self) -> int:
        """All bodies on their way to the disk, together [byte]."""
        with self._lock:
            return self._expected

    def reserve(self, size: int) -> None:
        """Make sure of room for so many bytes more; `StorageFull` if there is none.

        What is on its way counts in full, though a part is on the disk already: each body is
        written a second time, into its job's folder.
        """
        with self._lock:
            free = shutil.disk_usage(self.folder).free - self._expected
            if free - size < self._min_free:
                raise StorageFull(
                    "the server's disk has no room for so large a body now; try again later",
                    retry_after=_RETRY_AFTER,
                )
            self._expected += size

    def release(self, size: int) -> None:
        """Give back what was reserved."""
        with self._lock:
            self._expected -= size


class _File(TempfileBasedBuffer):
    """What has outgrown the memory, in a file without a name."""

    def __init__(self, folder: Path, from_buffer: Any) -> None:  # noqa: ANN401 - any of waitress's
        self._folder = folder
        super().__init__(from_buffer)

    def newfile(self) -> Any:  # noqa: ANN401
        return tempfile.TemporaryFile("w+b", dir=self._folder)


class _Buffer(OverflowableBuffer):
    """waitress's own buffer for answers, but for the folder of its file."""

    buf: Any  # here and below: what waitress's published types have wrong, or not at all

    def __init__(self, overflow: int, folder: Path) -> None:
        super().__init__(overflow)
        self._folder = folder

    def _set_large_buffer(self) -> None:
        before = self.buf
        self.buf = _File(self._folder, before)
        if before is not None:
            before.close()
        self.overflowed = True


class _Body(_Buffer):
    """A body as it comes; `TooLarge` and `StorageFull` say that no more of it is taken."""

    def __init__(self, spool: Spool, length: int | None) -> None:
        super().__init__(IN_MEMORY, spool.folder)
        self._spool = spool
        self._reserved = 0
        if length is not None and length > spool.largest:
            raise self._too_large()
        if length is not None and length >= IN_MEMORY:
            self._reserve(length)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body has more than {self._spool.largest} bytes, the most taken here")

    def _reserve(self, size: int) -> None:
        self._spool.reserve(size)
        self._reserved += size

    def append(self, s: bytes) -> None:
        size = len(self) + len(s)
        if size > self._spool.largest:
            raise self._too_large()
        if size >= IN_MEMORY and size > self._reserved:  # of a length that nobody has told
            self._reserve(_STEP)
        with disk.noticing_full(self._spool.folder):
            super().append(s)

    def close(self) -> None:
        released, self._reserved = self._reserved, 0
        self._spool.release(released)
        super().close()


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
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            # A proxy that goes by the length would take us for answering another's request
            # (RFC 9112 section 6.3).
            raise ParsingError("there is both a Content-Length and a Transfer-Encoding")
        if self.body_rcv is not None:
            length = None if self.chunked else self.content_length
            self.body_rcv.buf = _Body(self._spool, length)

    def received(self, data: bytes) -> int:
        try:
            return int(super().received(data))
        except OpusError as error:
            self.close()
            self.body_rcv = _Refused(error)
            self.headers["CONNECTION"] = "close"
            self.expect_continue = False
            self.headers_finished = self.completed = True
            self._on_refusal()
            return len(data)  # the rest would be taken for another request


class _Channel(PacedChannel):
    """A connection."""

    outbufs: Any
    _flush_exception: Any

    def __init__(self, spool: Spool, *rest: Any, **more: Any) -> None:  # noqa: ANN401 - waitress's
        self._spool = spool
        self._refusing = False
        self._lingering: float | None = None  # when to stop listening to a refused client
        super().__init__(*rest, **more)
        self.outbufs = [self._outbuf()]

    def _outbuf(self) -> _Buffer:
        return _Buffer(self.adj.outbuf_overflow, self._spool.folder)

    def parser_class(self, adj: Any) -> _Parser:  # type: ignore[override]  # noqa: ANN401
        """A class in waitress; here what is called for every request."""
        return _Parser(adj, self._spool, self._refuse)

    def _refuse(self) -> None:
        self._refusing = True

    def write_soon(self, data: Any) -> Any:  # noqa: ANN401
        with self.outbuf_lock:
            full = self.current_outbuf_count >= self.adj.outbuf_high_watermark
            # waitress would go on with a buffer that overflows into the system's folder.
            if full or not isinstance(self.outbufs[-1], _Buffer):
                self.outbufs.append(self._outbuf())
                self.current_outbuf_count = 0
        return super().write_soon(data)

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
    several = isinstance(server, server_module.MultiSocketServer)
    for one in server.map.values() if several else [server]:
        if isinstance(one, server_module.BaseWSGIServer):
            one.channel_class = partial(_Channel, spool)  # type: ignore[assignment]
    return server
