"""Where the embedded server keeps bodies until they are whole: on our own disk, within our limits.

waitress hands a request over when all of its body has come. Left alone it keeps what is larger
than half a megabyte in the system's temporary folder, often a small memory disk, and takes a
gigabyte of a body that is too large before it says so. Here a body lies in a folder of the data
folder, without a name, so that nothing is left behind by a crash; and one that is not taken is
refused at its first byte, by `opus_core.intake`.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from waitress.buffers import OverflowableBuffer, TempfileBasedBuffer

from opus_core import disk
from opus_core.errors import StorageFull, TooLarge

IN_MEMORY: Final = 65536
"""A body up to this size [byte] never reaches the disk; a thousand such take 64 MiB."""

_STEP: Final = 16 * 2**20  # [byte] by which the room for a body of unknown length grows
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

    def room(self) -> int:
        """Bytes that may be written here besides [byte]; less than none if there are too many."""
        return shutil.disk_usage(self.folder).free - self.expected - self._min_free

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


class Buffer(OverflowableBuffer):
    """waitress's own buffer, but for the folder of its file."""

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


class Body(Buffer):
    """A body as it comes; `TooLarge` and `StorageFull` say that no more of it is taken."""

    def __init__(self, spool: Spool, length: int | None) -> None:
        super().__init__(IN_MEMORY, spool.folder)
        self._spool = spool
        self._reserved = 0
        if length is not None:
            self.expect(length)
        if length is not None and length >= IN_MEMORY:
            self._reserve(length)

    def expect(self, size: int) -> None:
        """So many bytes more are announced; `TooLarge` if that is beyond the limit."""
        if len(self) + size > self._spool.largest:
            raise TooLarge(
                f"the body has more than {self._spool.largest} bytes, the most taken here"
            )

    def _reserve(self, size: int) -> None:
        self._spool.reserve(size)
        self._reserved += size

    def append(self, s: bytes) -> None:
        self.expect(len(s))
        size = len(self) + len(s)
        if size >= IN_MEMORY and size > self._reserved:  # of a length that nobody has told
            self._reserve(_STEP)
        with disk.noticing_full(self._spool.folder):
            super().append(s)

    def close(self) -> None:
        released, self._reserved = self._reserved, 0
        self._spool.release(released)
        super().close()
