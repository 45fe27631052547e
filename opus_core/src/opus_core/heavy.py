"""Requests that need much memory: a few at once, while others wait for a moment.

A job of thousands of values takes some ten MiB while it is read and shown. By as many requests at
once as there are threads that would become more than a machine has; one after the other they are
not slower, since they all need the same processor.
"""

from __future__ import annotations

import threading
from typing import Final

from opus_core.errors import Unavailable
from opus_core.job import Job
from opus_core.texts import are_many

_AT_ONCE: Final = 4
_PATIENCE: Final = 10.0  # [s] that a request waits for its turn
_AGAIN: Final = 5.0  # [s] after which it may be sooner


class Turns:
    """Gives such requests their turns in this process; so many may wait for one."""

    def __init__(self, *, waiting: int = 32) -> None:
        self._free = threading.Semaphore(_AT_ONCE)
        self._line = threading.Semaphore(waiting)

    def turn(self) -> Turn:
        """The turn of one request, which most never take."""
        return Turn(self._free, self._line)


class Turn:
    """The turn of a request, from when it finds out that it needs much memory to its end."""

    def __init__(self, free: threading.Semaphore, line: threading.Semaphore) -> None:
        self._free = free
        self._line = line
        self.taken = False

    def take(self) -> None:
        """Wait for it; safe twice. `Unavailable` if that takes too long, and at once where too
        many wait already: each of them keeps a thread."""
        if self.taken:
            return
        if not self._line.acquire(blocking=False):
            raise _too_many()
        try:
            self.taken = self._free.acquire(timeout=_PATIENCE)
        finally:
            self._line.release()
        if not self.taken:
            raise _too_many()

    def leave(self) -> None:
        """Let the next one in; safe twice."""
        if self.taken:
            self.taken = False
            self._free.release()


def is_heavy(job: Job) -> bool:
    """Whether the job takes much memory while it is shown or changed."""
    return are_many(len(job.parameters), sum(len(one.value) for one in job.parameters))


def _too_many() -> Unavailable:
    return Unavailable(
        "too many requests for jobs of very many values are being answered; try again later",
        retry_after=_AGAIN,
    )
