from __future__ import annotations

import time

import pytest

from opus_storage_sqlite import engine
from opus_storage_sqlite.storage import SQLiteOptions, SQLiteStorage


@pytest.fixture
def path(tmp_path):
    return tmp_path / "opus.sqlite"


@pytest.fixture
def make(path):
    """Makes instances on one file."""
    return lambda: SQLiteStorage(SQLiteOptions(path=path))


@pytest.fixture
def storage(make):
    storage = make()
    storage.prepare()
    yield storage
    storage.close()


@pytest.fixture
def connections(monkeypatch):
    """What is appended here is done with every connection that is opened."""
    opened = []
    open_file = engine.open_file

    def open_and_do(*arguments):
        connection = open_file(*arguments)
        for do in opened:
            do(connection)
        return connection

    monkeypatch.setattr(engine, "open_file", open_and_do)
    return opened


@pytest.fixture
def pass_time(connections):
    """Puts the clock forward: SQLite's clock is its function `julianday`."""
    ahead = 0.0

    def julianday(word):
        assert word == "now"
        return (time.time() + ahead) / 86_400 + 2_440_587.5

    def pass_time(seconds):
        nonlocal ahead
        ahead += seconds

    connections.append(lambda opened: opened.create_function("julianday", 1, julianday))
    return pass_time
