"""The schema is made by migrations, and is the one that the code believes in."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from opus_core.errors import ConfigError, Unavailable
from opus_core.testing.samples import a_job
from opus_core.testing.timing import PATIENCE
from opus_storage_sqlite import schema
from opus_storage_sqlite.engine import a_transaction
from opus_storage_sqlite.tables import metadata


@pytest.fixture
def migrated(make, path):
    """A database that the migrations have made."""
    path.touch()
    with a_transaction(path, 5.0) as connection:
        schema.migrate(connection)
    return path


def objects(path):
    """Every table and index, and the parts of its definition in the order of the alphabet: where a
    key stands among the constraints says nothing."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
        return {
            row[:3]: sorted(line.strip(" \t,") for line in (row[3] or "").splitlines())
            for row in found
        }


def test_the_migrated_schema_is_that_of_the_tables(migrated):
    with a_transaction(migrated, 5.0) as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": schema.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, metadata) == []


def test_what_is_created_at_once_is_what_the_migrations_lead_to(migrated, tmp_path):
    created = tmp_path / "created.sqlite"
    schema.upgrade(created, 5.0)
    assert objects(created) == objects(migrated)
    assert len(objects(created)) > 30
    for path in (created, migrated):
        with closing(sqlite3.connect(path)) as connection:
            noted = connection.execute(f"SELECT version_num FROM {schema.VERSION_TABLE}")
            assert noted.fetchall() == [(schema.VERSION,)]


def test_a_database_with_nothing_in_it_needs_no_alembic(tmp_path):
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from opus_storage_sqlite import schema\n"
        "schema.upgrade(Path(sys.argv[1]), 5.0)\n"
        "print('alembic' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, tmp_path / "new.sqlite"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "False\n"


def test_the_numbers_of_journal_and_streams_are_never_used_again(storage, path):
    with closing(sqlite3.connect(path)) as connection:
        tables = dict(connection.execute("SELECT name, sql FROM sqlite_master"))
    assert "AUTOINCREMENT" in tables["journal"]
    assert "AUTOINCREMENT" in tables["records"]


def test_there_is_one_newest_schema_and_it_is_the_one_the_code_names():
    with schema._alembic() as config:
        assert ScriptDirectory.from_config(config).get_heads() == [schema.VERSION]


def test_every_migration_can_be_taken_back(make, migrated):
    with a_transaction(migrated, 5.0) as connection, schema._alembic() as config:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with closing(sqlite3.connect(migrated)) as connection:
        tables = {
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    assert tables == {schema.VERSION_TABLE, "sqlite_sequence"}
    storage = make()
    storage.prepare()
    assert storage.add(a_job()).version == 1
    storage.close()


@pytest.mark.parametrize("begun", [False, True], ids=["create", "migrate"])
def test_a_preparation_that_fails_leaves_nothing(make, path, monkeypatch, begun):
    if begun:  # an older release has been here
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"CREATE TABLE {schema.VERSION_TABLE} (version_num VARCHAR(32))")

    def fail(connection, *more):
        connection.exec_driver_sql("CREATE TABLE half (x)")
        raise RuntimeError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr(schema, "migrate" if begun else "create", fail)
        with pytest.raises(RuntimeError, match="power cut"):
            make().prepare()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (begun,)
    storage = make()
    storage.prepare()
    assert storage.add(a_job()).version == 1
    storage.close()


def test_prepare_waits_for_another_that_prepares(make, path):
    storage = make()
    with schema._alone(path):
        waiting = threading.Thread(target=storage.prepare)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        assert not path.exists()
    waiting.join(PATIENCE)
    assert storage.add(a_job()).version == 1
    storage.close()


def test_a_newer_schema_is_refused_with_both_versions(storage, path, make):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE opus_storage_version SET version_num = '9999'")
    for refused in (make().prepare, make().check):
        with pytest.raises(ConfigError, match=f"schema 9999.*up to {schema.VERSION}"):
            refused()


def test_the_database_of_another_program_is_refused_and_left_alone(path, make):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE moz_places (id)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"another program.*'moz_places'"):
        make().prepare()
    assert path.read_bytes() == before


def test_a_copy_made_by_vacuum_into_is_put_into_wal_mode_again(storage, path, make):
    job = storage.add(a_job())
    storage.close()
    copy = path.with_name("copy.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    shutil.move(copy, path)
    again = make()
    again.prepare()
    assert again.read(job.id) == job
    again.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_others_may_not_read_the_file(storage, path):
    storage.add(a_job())
    for file in (path, path.with_name(path.name + "-wal")):
        assert file.stat().st_mode & 0o007 == 0


def test_what_it_says_of_its_schema_changes_nothing(make, path, monkeypatch):
    assert make().unprepared() == "it has no tables yet"
    assert not path.exists()
    path.touch()
    assert make().unprepared() == "it has no tables yet"
    assert path.read_bytes() == b""
    make().prepare()
    assert make().unprepared() == ""
    content = path.read_bytes()
    monkeypatch.setattr("opus_storage_sqlite.schema.VERSION", "0002")
    assert make().unprepared() == "its schema is 0001, and this OPUS needs 0002"
    assert path.read_bytes() == content


def test_before_it_is_prepared_the_storage_says_so(make):
    storage = make()
    with pytest.raises(Unavailable, match="is missing"):
        storage.add(a_job())


def test_a_writer_has_foreign_keys_and_full_synchronous(storage):
    with storage._database.writing() as connection:
        for pragma, value in (("foreign_keys", 1), ("synchronous", 2), ("journal_mode", "wal")):
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == value
