"""A storage in memory, whose other instances are other processes."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from opus_core.testing.memory import MemoryOptions, MemoryStorage
from opus_metrics import follower


@pytest.fixture
def make():
    """A callable that makes a storage of any class on one universe."""
    universe = uuid.uuid4().hex
    yield lambda cls=MemoryStorage: cls(MemoryOptions(universe=universe))
    MemoryStorage.forget(universe)


@pytest.fixture
def storage(make):
    return make()


@pytest.fixture
def always(monkeypatch):
    """Every scrape leaves its tally to others."""
    monkeypatch.setattr(follower, "OFTEN", timedelta(days=-(10**6)))
