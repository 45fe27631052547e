"""The schema is made by migrations, and is the one that the code believes in."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from opus_core.errors import ConfigError, Unavailable
from opus_core.testing.samples import a_job
from opus_core.testing.timing import PATIENCE
from opus_storage_sqlite import schema
from opus_storage_sqlite.engine import a_transaction
from opus_storage_sqlite.tables import metadata


def _indexes(connection):
    return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'"))


def test_the_migrated_schema_is_that_of_the_tables(storage, path):
    with a_transaction(path, 5.0) as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": schema.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, metadata) == []


def test_the_migrated_indexes_are_those_of_the_tables_to_the_word(storage, path):
    engine = create_engine("sqlite://")
    with engine.begin() as fresh, closing(sqlite3.connect(path)) as migrated:
        metadata.create_all(fresh)
        of_alembic = {name for name in _indexes(migrated) if schema.VERSION_TABLE in name}
        migrated_indexes = _indexes(migrated)
        for name in of_alembic:
            del migrated_indexes[name]
        assert migrated_indexes == _indexes(fresh.connection.driver_connection)
    engine.dispose()


def test_the_numbers_of_journal_and_streams_are_never_used_again(storage, path):
    with closing(sqlite3.connect(path)) as connection:
        tables = dict(connection.execute("SELECT name, sql FROM sqlite_master"))
    assert "AUTOINCREMENT" in tables["journal"]
    assert "AUTOINCREMENT" in tables["records"]


def test_there_is_one_newest_schema_and_it_is_the_one_the_code_names():
    with schema._alembic() as config:
        assert ScriptDirectory.from_config(config).get_heads() == [schema.VERSION]


def test_every_migration_can_be_taken_back(storage, path):
    with a_transaction(path, 5.0) as connection, schema._alembic() as config:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with closing(sqlite3.connect(path)) as connection:
        tables = {
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    assert tables == {schema.VERSION_TABLE, "sqlite_sequence"}
    storage.prepare()
    assert storage.add(a_job()).version == 1


def test_a_migration_that_fails_leaves_nothing(make, path, monkeypatch):
    def fail(config, revision):
        config.attributes["connection"].exec_driver_sql("CREATE TABLE half (x)")
        raise RuntimeError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", fail)
        with pytest.raises(RuntimeError, match="power cut"):
            make().prepare()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    storage = make()
    storage.prepare()
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
