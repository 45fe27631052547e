"""Where lines of the log are written: standard error, or a file that others move away.

Most lines are written at once. Those of requests are many, and nobody acts on a single one: they
wait for a tenth of a second, or for any other line, and are written together, which costs a
fraction of it. Only a process that is killed (SIGKILL) takes some along.

The file is written by several processes, moved away by logrotate, and never torn. What is written
is appended by one write(2) to a file that is open for appending, so lines of several processes do
not run into each other. Before each write the path is looked at:

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
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

from opus_core.facts import KEY, about, settle

log = logging.getLogger(__name__)

_SILENCE: Final = 60.0  # [s] between two sentences to standard error
_MOVING: Final = 1.0  # [s] that logrotate has to make a new file
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY
_MODE: Final = 0o660
_TOGETHER: Final = 500  # lines that wait at most
_SOON: Final = 0.1  # [s] that they do


class Writer(logging.Handler):
    """Writes each entry as one line; those of the logger `patient` some at once."""

    def __init__(self, patient: str = "") -> None:
        super().__init__()
        self._patient = patient
        self._waiting: deque[logging.LogRecord] = deque()
        self._waits = threading.Event()  # that there are any
        self._thread: threading.Thread | None = None
        self._process = os.getpid()
        self._over = threading.Event()

    def write(self, lines: list[str]) -> None:
        """Write these, each with a line break behind it. May raise nothing."""
        raise NotImplementedError

    def handle(self, record: logging.LogRecord) -> bool:
        """Write one line, now or soon. Threads that answer requests take no lock, or they would
        stand in line for each other's lines; these are made, too, when they are written."""
        if not self.filter(record):
            return False
        record.__dict__[KEY] = settle(record)  # in the thread that it is about
        if os.getpid() != self._process:  # forked: what waits is the other one's, and its thread
            self._process, self._waiting, self._waits = os.getpid(), deque(), threading.Event()
        self._waiting.append(record)
        if record.name != self._patient or len(self._waiting) >= _TOGETHER or self._over.is_set():
            self.flush()
        elif not self._waits.is_set():
            self._begin()
        return True

    def flush(self) -> None:
        """Write what waits."""
        self.acquire()
        try:
            lines: list[str] = []
            while self._waiting and os.getpid() == self._process:
                record = self._waiting.popleft()
                try:
                    lines.append(self.format(record))
                except Exception:
                    self.handleError(record)
            if lines:
                self.write(lines)
        finally:
            self.release()

    def close(self) -> None:
        """Write what waits, and no more."""
        self._over.set()
        self._waits.set()
        self.flush()
        super().close()

    def _begin(self) -> None:
        self.acquire()
        try:
            self._waits.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="opus-log", daemon=True)
                self._thread.start()
        finally:
            self.release()

    def _run(self) -> None:
        while not self._over.is_set() and self._waits.wait():
            if self._over.wait(_SOON):
                return  # whoever closes it writes them
            self._waits.clear()
            self.flush()


class LogFile(Writer):
    """Appends to a file."""

    def __init__(self, path: Path, patient: str = "") -> None:
        """Raises `OSError` if the file cannot be opened."""
        self.path = path
        self._file = self._opened()
        super().__init__(patient)
        self._moved: float | None = None  # since when there is nothing of that name
        self._torn = False  # the last line is not whole
        self._lost = 0  # lines
        self._silent_until = 0.0

    def write(self, lines: list[str]) -> None:
        """Append them, or count them as lost."""
        try:
            self._follow()
            if self._lost:
                self._append([self.format(self._confession())])
                self._lost = 0
            self._append(lines)
        except OSError as error:
            self._lost += len(lines)
            self._complain(error)

    def close(self) -> None:
        """Write what waits, and no more."""
        super().close()
        self.acquire()
        try:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
        finally:
            self.release()

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

    def _append(self, lines: list[str]) -> None:
        # A line that was cut off by a full disk is no beginning of the next.
        text = "\n".join(("", *lines, "") if self._torn else (*lines, ""))
        data = text.encode("utf-8", "backslashreplace")
        while data:
            written = os.write(self._file, data)
            self._torn = data[written - 1 : written] != b"\n"
            data = data[written:]
            if data:
                del lines[: max(0, len(lines) - data.count(b"\n"))]  # those are written

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
