"""Accounts in memory, and a clock that a test moves."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from unittest import mock

from opus_core import job as jobs
from opus_core.auth.people import People
from opus_core.testing.memory import MemoryOptions, MemoryStorage


class Clock:
    """Moves all that asks `opus_core.job.now`."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self._now = jobs.now

    def now(self):
        return self._now() + self.ahead

    def forward(self, **length: float) -> None:
        self.ahead += timedelta(**length)


@contextmanager
def moved_clock() -> Iterator[Clock]:
    clock = Clock()
    with mock.patch("opus_core.job.now", clock.now):
        yield clock


@contextmanager
def some_people(**options) -> Iterator[People]:
    """The accounts of a new storage: ann, bob who is an admin, and cid who is switched off."""
    universe = uuid.uuid4().hex
    storage = MemoryStorage(MemoryOptions(universe=universe))
    accounts = storage.accounts()
    assert accounts is not None
    people = People(storage, accounts, **{"secret": b"s" * 32, "passwords": True, **options})
    try:
        people.add("tests", "ann")
        people.add("tests", "bob", roles=frozenset({"admin"}))
        people.add("tests", "cid")
        people.change("tests", "cid", active=False)
        yield people
    finally:
        MemoryStorage.forget(universe)
