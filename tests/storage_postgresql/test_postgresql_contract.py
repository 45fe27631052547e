"""PostgreSQL keeps the contracts that every storage has to keep."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from opus_core.testing import AccountsContract, StorageContract


class TestStorage(StorageContract):
    @pytest.fixture
    def make(self, pass_time, make):  # in this order: what is connected already has its clock
        return make

    @pytest.fixture
    def pass_time(self, pass_time):
        return pass_time

    @pytest.fixture
    def make_newer(self, admin, schema):
        def make_newer():
            admin.execute(f"UPDATE {schema}.opus_storage_version SET version_num = '9999'")

        return make_newer

    @pytest.fixture
    def unavailable(self, database):
        """The server is down."""

        @contextmanager
        def down():
            database.stop()
            try:
                yield
            finally:
                database.start()

        return down


class TestAccounts(AccountsContract):
    @pytest.fixture
    def make(self, make):
        return make
