"""PostgreSQL keeps the contracts that every storage has to keep."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from opus_core.testing import AccountsContract, StorageContract
from opus_storage_postgresql.storage import PostgreSQLStorage


class TestStorage(StorageContract):
    copies = True

    @pytest.fixture
    def make(self, pass_time, make):  # in this order: what is connected already has its clock
        return make

    @pytest.fixture
    def empty(self, options, admin, schema):
        """Another schema of the same database."""
        admin.execute(f"CREATE SCHEMA {schema}_copy")
        yield lambda: PostgreSQLStorage(replace(options, schema=f"{schema}_copy"))
        admin.execute(f"DROP SCHEMA {schema}_copy CASCADE")

    @pytest.fixture
    def unfit(self, options):
        """Nobody listens there."""
        url = "postgresql://opus@127.0.0.1:1/opus"
        return lambda: PostgreSQLStorage(replace(options, url=url))

    @pytest.fixture
    def pass_time(self, pass_time):
        return pass_time

    @pytest.fixture
    def make_newer(self, admin, schema):
        def make_newer():
            admin.execute(f"UPDATE {schema}.opus_storage_version SET version_num = '9999'")

        return make_newer

    @pytest.fixture
    def full(self, database, admin, schema):
        """The tables lie on a disk that has no room; None where no such disk can be had."""
        disk = database.folder.with_name(f"disk-{schema}")
        disk.mkdir()
        mounting = ("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk))
        if subprocess.run(mounting, check=False, capture_output=True).returncode:
            disk.rmdir()
            yield None
            return
        place = disk / "place"
        place.mkdir()
        shutil.chown(place, "nobody", "nogroup")
        admin.execute(f"CREATE TABLESPACE {schema} LOCATION '{place}'")
        asked = "SELECT tablename FROM pg_tables WHERE schemaname = %s"

        def move(where):
            for (table,) in admin.execute(asked, (schema,)).fetchall():
                admin.execute(f"ALTER TABLE {schema}.{table} SET TABLESPACE {where}")

        @contextmanager
        def full():
            move(schema)
            filler = disk / "filler"
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(b"\0" * 4096)
            yield
            filler.unlink()
            move("pg_default")

        yield full
        move("pg_default")
        admin.execute(f"DROP TABLESPACE {schema}")
        subprocess.run(("umount", str(disk)), check=True)
        disk.rmdir()

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
