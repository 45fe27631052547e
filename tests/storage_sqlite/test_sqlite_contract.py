"""SQLite keeps the contracts that every storage has to keep."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from opus_core.testing import AccountsContract, StorageContract
from opus_storage_sqlite.storage import SQLiteOptions, SQLiteStorage


class TestStorage(StorageContract):
    @pytest.fixture
    def make(self, path):
        return lambda: SQLiteStorage(SQLiteOptions(path=path))

    @pytest.fixture
    def pass_time(self, pass_time):
        return pass_time

    @pytest.fixture
    def make_newer(self, path):
        def make_newer():
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("UPDATE opus_storage_version SET version_num = '9999'")

        return make_newer


class TestAccounts(AccountsContract):
    @pytest.fixture
    def make(self, path):
        return lambda: SQLiteStorage(SQLiteOptions(path=path))
