"""What instances of the memory storage share, as processes share a database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from opus_core.backends import Health, Lease, Record
from opus_core.errors import Unavailable
from opus_core.job import Change, Job
from opus_core.testing.memory_accounts import MemoryAccounts

SCHEMA: Final = 1


@dataclass(slots=True)
class Row:
    """What is stored of one job."""

    job: Job
    due: datetime | None
    pokes: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Key:
    """An Idempotency-Key that was used."""

    job_id: str
    body: str
    used: datetime


@dataclass(slots=True)
class Stream:
    """Records, oldest first, and the number of the last one ever made."""

    records: list[Record] = field(default_factory=list)
    newest: int = 0


class Universe:
    """All that instances of one name share; `changed` is its one lock."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.schema = SCHEMA
        self.ahead = timedelta(0)  # of the machine's clock; moved by tests
        self.rows: dict[str, Row] = {}
        self.created: list[tuple[str, datetime]] = []  # quota key and instant, never removed
        self.keys: dict[tuple[str, str], Key] = {}
        self.journal: list[Change] = []
        self.newest = 0
        self.removed = 0  # the last number that the journal has dropped
        self.leases: dict[str, Lease] = {}
        self.health: dict[str, Health] = {}
        self.streams: dict[str, Stream] = {}
        self.accounts = MemoryAccounts(self.writing)
        self.fault: Unavailable | None = None  # why nothing can be written

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction that changes something."""
        with self.changed:
            if self.fault is not None:
                raise self.fault
            yield

    def now(self) -> datetime:
        """The storage's clock."""
        return datetime.now(UTC) + self.ahead


_universes: dict[str, Universe] = {}
_lock = threading.Lock()


def universe(name: str) -> Universe:
    """The universe of this name, which begins when it is first asked for."""
    with _lock:
        return _universes.setdefault(name, Universe())


def forget(name: str) -> None:
    """Drop all that is stored under this name."""
    with _lock:
        _universes.pop(name, None)
