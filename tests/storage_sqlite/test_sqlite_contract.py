"""SQLite keeps the contracts that every storage has to keep."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager

import pytest

from opus_core.testing import AccountsContract, StorageContract
from opus_storage_sqlite.storage import SQLiteOptions, SQLiteStorage


def alive(connections):
    """Those that are not closed."""
    for connection in connections:
        try:
            connection.execute("SELECT 1")
        except sqlite3.ProgrammingError:
            continue
        yield connection


class TestStorage(StorageContract):
    copies = True

    @pytest.fixture
    def opened(self, connections):
        """The connections to the file, as they come."""
        opened = []
        connections.append(opened.append)
        return opened

    @pytest.fixture
    def make(self, path, opened):
        return lambda: SQLiteStorage(SQLiteOptions(path=path))

    @pytest.fixture
    def empty(self, tmp_path):
        return lambda: SQLiteStorage(SQLiteOptions(path=tmp_path / "other.sqlite"))

    @pytest.fixture
    def unfit(self, tmp_path):
        return lambda: SQLiteStorage(SQLiteOptions(path=tmp_path / "nowhere" / "opus.sqlite"))

    @pytest.fixture
    def pass_time(self, pass_time):
        return pass_time

    @pytest.fixture
    def make_newer(self, path):
        def make_newer():
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("UPDATE opus_storage_version SET version_num = '9999'")

        return make_newer

    @pytest.fixture
    def full(self, opened):
        """The file may not grow."""

        @contextmanager
        def full():
            for connection in alive(opened):
                [(pages,)] = connection.execute("PRAGMA page_count")
                connection.execute(f"PRAGMA max_page_count = {pages}")
            yield
            for connection in alive(opened):
                connection.execute("PRAGMA max_page_count = 4294967294")

        return full

    @pytest.fixture
    def unavailable(self, opened, path):
        """Another process writes, and does not end."""

        @contextmanager
        def locked():
            for connection in alive(opened):
                connection.execute("PRAGMA busy_timeout = 100")
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                yield

        return locked


class TestAccounts(AccountsContract):
    @pytest.fixture
    def make(self, path):
        return lambda: SQLiteStorage(SQLiteOptions(path=path))
