"""The file that the log goes to: written by several processes, moved away by others, never torn.

Each line is appended by one write(2) to a file that is open for appending, so lines of several
processes do not run into each other. Before each the path is looked at:

    another file has its name      logrotate has moved ours away and made a new one: go on there
    no file has its name           it is just being moved: the lines of the next second still go to
                                   the file that was ours; then a new one is made
    ours has been deleted          a new one is made at once

What cannot be written, on a full disk, say, is lost. Standard error has one sentence about that now
and then, and the file how many lines it was, as soon as it can be written again.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from opus_core.facts import about

log = logging.getLogger(__name__)

_SILENCE: Final = 60.0  # [s] between two sentences to standard error
_MOVING: Final = 1.0  # [s] that logrotate has to make a new file
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY
_MODE: Final = 0o660


class LogFile(logging.Handler):
    """Appends each entry, as the formatter makes it, as one line."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError` if the file cannot be opened."""
        self.path = path
        self._file = self._opened()
        super().__init__()
        self._moved: float | None = None  # since when there is nothing of that name
        self._torn = False  # the last line is not whole
        self._lost = 0  # lines
        self._silent_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, or count it as lost."""
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        try:
            self._follow()
            if self._lost:
                self._append(self.format(self._confession()))
                self._lost = 0
            self._append(line)
        except OSError as error:
            self._lost += 1
            self._complain(error)

    def close(self) -> None:
        """Write no more."""
        self.acquire()
        try:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
        finally:
            self.release()
        super().close()

    def _opened(self) -> int:
        return os.open(self.path, _FLAGS, _MODE)

    def _follow(self) -> None:
        """Have the file open that has the name now, or is to have it in a moment."""
        ours = os.fstat(self._file)
        try:
            there = os.stat(self.path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
            if ours.st_nlink and self._is_moving():
                return
        else:
            self._moved = None
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                return
        try:
            new = self._opened()
        except OSError as error:
            if not ours.st_nlink:
                raise
            self._complain(error)  # nothing is lost: it goes to where ours was moved
            return
        os.close(self._file)
        self._file, self._moved, self._torn = new, None, False

    def _is_moving(self) -> bool:
        present = time.monotonic()
        if self._moved is None:
            self._moved = present
        return present - self._moved < _MOVING

    def _append(self, line: str) -> None:
        # A line that was cut off by a full disk is no beginning of the next.
        data = (b"\n" if self._torn else b"") + line.encode("utf-8", "backslashreplace") + b"\n"
        while data:
            written = os.write(self._file, data)
            data = data[written:]
            self._torn = bool(data)

    def _confession(self) -> logging.LogRecord:
        sentence = "so many lines of the log could not be written before this one"
        record = logging.LogRecord(log.name, logging.WARNING, __file__, 0, sentence, (), None)
        record.__dict__.update(about(lines=self._lost))
        return record

    def _complain(self, error: OSError) -> None:
        if time.monotonic() < self._silent_until:
            return
        self._silent_until = time.monotonic() + _SILENCE
        with suppress(OSError, ValueError):  # nobody is left who could be told
            sys.stderr.write(f"the log {self.path} cannot be written: {error.strerror}\n")
