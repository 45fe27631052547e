"""What answers wait to be sent: bounded over all connections, in memory and on the disk.

waitress keeps what a client has not taken yet, up to 16 MiB for each connection, and nothing bounds
the sum: some hundred clients that ask and do not read would fill any memory and any disk. Here all
of it is counted. Where there is too much, those connections are closed whose clients take their
answers the slowest; nobody waits for them.

Files that are sent as they are (results, uploads) count for nothing: they lie where they lay.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from waitress.channel import ClientDisconnected

from opus_core.spool import Buffer, Spool

_MOST: Final = 512 * 2**20  # [byte]; what 32 connections can have that take nothing of a long list
_MOST_IN_MEMORY: Final = 64 * 2**20  # [byte] of that
_OWN_MEMORY: Final = 2**20  # [byte] of one buffer, before it goes to the disk
_SMALL: Final = 16384  # [byte] of a buffer that count only when their client lets us wait
_FAIR: Final = 1.0  # [s] that a client has to show how fast it is


class Unsent:
    """All answers that wait, of one server. Safe for several threads."""

    def __init__(
        self, spool: Spool, *, most: int = _MOST, in_memory: int = _MOST_IN_MEMORY
    ) -> None:
        self.spool = spool
        self._most = most
        self._in_memory = in_memory
        self._lock = threading.Lock()
        self._shares: set[Share] = set()
        self._memory = self._disk = 0

    @property
    def total(self) -> int:
        """How much waits [byte]."""
        return self._memory + self._disk

    def share(self, hang_up: Callable[[], None]) -> Share:
        """The share of one connection, which `hang_up` ends."""
        return Share(self, hang_up)

    def has_memory(self, size: int) -> bool:
        """So many bytes more may be kept in memory."""
        return self._memory + size <= self._in_memory

    def add(self, share: Share, memory: int, disk: int) -> None:
        """Count bytes that are about to be kept. `ClientDisconnected` if there is no room for them,
        and for a share whose connection had to go."""
        with self._lock:
            if share.gone or not self._make_room(self._short(memory, disk), share):
                raise ClientDisconnected
            self._count(share, memory, disk)

    def move(self, share: Share, size: int) -> None:
        """Count bytes that have gone from the memory to the disk."""
        self.remove(share, size, -size)

    def note(self, share: Share, memory: int, disk: int) -> None:
        """Count bytes that are kept already."""
        self.remove(share, -memory, -disk)

    def remove(self, share: Share, memory: int, disk: int) -> None:
        """Count bytes that are kept no longer."""
        with self._lock:
            if not share.gone:
                self._count(share, -memory, -disk)

    def _count(self, share: Share, memory: int, disk: int) -> None:
        self._memory += memory
        self._disk += disk
        share.memory += memory
        share.disk += disk
        if share.size:
            self._shares.add(share)
        else:
            self._shares.discard(share)

    def _short(self, memory: int, disk: int) -> int:
        """How many bytes too many it would be."""
        short = self.total + memory + disk - self._most
        if memory:
            short = max(short, self._memory + memory - self._in_memory)
        if disk:
            short = max(short, disk - self.spool.room())
        return short

    def _make_room(self, short: int, wanting: Share) -> bool:
        """End the slowest connections until there is room; false if there is none to be had."""
        now = time.monotonic()
        slowest = None
        while short > 0:
            if slowest is None:
                slow = [one for one in self._shares if one is not wanting and one.known(now)]
                slowest = iter(sorted(slow, key=lambda one: one.speed(now)))
            victim = next(slowest, None)
            if victim is None:
                return False
            short -= victim.size
            self._count(victim, -victim.memory, -victim.disk)
            victim.gone = True
            victim.hang_up()
        return True


class Share:
    """What waits for one connection, and how fast its client takes it."""

    def __init__(self, unsent: Unsent, hang_up: Callable[[], None]) -> None:
        self._unsent = unsent
        self.hang_up = hang_up
        self.memory = self.disk = 0  # [byte]; by `Unsent` alone
        self.gone = False
        self._since: float | None = None  # when the client let us wait
        self._taken = 0  # [byte] since then

    @property
    def size(self) -> int:
        """What waits [byte]."""
        return self.memory + self.disk

    def buffer(self) -> AnswerBuffer:
        """A buffer for answers of this connection."""
        return AnswerBuffer(self._unsent, self)

    def waits(self) -> None:
        """The client has not taken all there is."""
        if self._since is None:
            # What it took until now went into buffers of the system.
            self._since, self._taken = time.monotonic(), 0

    def rests(self) -> None:
        """It has."""
        self._since = None

    def took(self, size: int) -> None:
        """So many bytes have been sent."""
        self._taken += size

    def known(self, now: float) -> bool:
        """Something has waited long enough to tell how fast the client is."""
        return self._since is not None and now - self._since >= _FAIR

    def speed(self, now: float) -> float:
        """Bytes a second, if it is known."""
        return self._taken / (now - self._since) if self._since is not None else 0.0


class AnswerBuffer(Buffer):
    """A part of what waits, counted as long as it takes room."""

    def __init__(self, unsent: Unsent, share: Share) -> None:
        super().__init__(sys.maxsize, unsent.spool.folder)  # it goes to the disk when we say so
        self._unsent = unsent
        self._share = share
        self._size = 0  # [byte] with what has been sent: a file does not become shorter
        self._small = 0  # [byte] that do not count yet: most answers are small, and sent at once

    def append(self, s: bytes) -> None:
        size = len(s)
        if self._small + size <= _SMALL:
            self._small += size
        else:
            if not self.overflowed and not self._fits(size):
                self._to_disk(size)
            self._unsent.add(self._share, *self._where(size))
            self._size += size
        super().append(s)

    def settle(self) -> None:
        """The client lets us wait: now all counts."""
        small, self._small = self._small, 0
        if small:
            self._unsent.note(self._share, *self._where(small))
            self._size += small

    @property
    def is_new(self) -> bool:
        """Nothing is in it."""
        return not (self._size or self._small)

    def _fits(self, size: int) -> bool:
        return self._size + size <= _OWN_MEMORY and self._unsent.has_memory(size)

    def _to_disk(self, size: int) -> None:
        """Unless it has no room: then all stays in memory, as far as there is any."""
        self.settle()
        if self._size + size > self._unsent.spool.room():
            return
        self.getfile()  # makes a buffer of what is only bytes as yet
        with suppress(OSError):
            self._set_large_buffer()
            self._unsent.move(self._share, self._size)

    def _where(self, size: int) -> tuple[int, int]:
        return (0, size) if self.overflowed else (size, 0)

    def clear(self) -> None:
        """All of it has been sent: give back what it took."""
        if self.buf is not None:
            self.buf.close()
            self.buf = None
        self.strbuf = b""
        self._release()
        self.overflowed = False

    def close(self) -> None:
        self._release()
        super().close()

    def _release(self) -> None:
        size, self._size, self._small = self._size, 0, 0
        if size:
            self._unsent.remove(self._share, *self._where(size))
