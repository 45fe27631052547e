"""What is wrong with a database is one sentence for the admin."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from opus_core.checks import clocks
from opus_core.errors import BadRequest, ConfigError
from opus_core.settings import fill
from opus_core.testing.samples import a_job
from opus_storage_postgresql import schema
from opus_storage_postgresql.options import PostgreSQLOptions
from opus_storage_postgresql.storage import PostgreSQLStorage
from servers import eventually


def refusal(url, **options):
    storage = PostgreSQLStorage(PostgreSQLOptions(url=url, busy_timeout=1.0, **options))
    with pytest.raises(ConfigError) as refused:
        storage.check()
    storage.close()
    assert "\n" not in refused.value.sentence
    return refused.value.sentence


def test_there_is_no_such_database(database):
    assert "does not exist" in refusal(database.url("nothing"))


def test_nobody_listens():
    sentence = refusal("postgresql://opus@127.0.0.1:9/opus")
    assert "opus@127.0.0.1:9/opus cannot be reached: Connection refused; try again" in sentence


def test_there_is_no_such_schema(database):
    assert "has no schema that this user may use" in refusal(database.url(), schema="nowhere")


def test_it_keeps_text_in_another_encoding(database, admin):
    admin.execute(
        "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'"
    )
    assert "LATIN1" in refusal(database.url("latin"))


def test_it_is_another_programs(database, admin, schema):
    admin.execute(f"CREATE TABLE {schema}.people (name text)")
    assert "'people'" in refusal(database.url(), schema=schema)
    storage = PostgreSQLStorage(PostgreSQLOptions(url=database.url(), schema=schema))
    with pytest.raises(ConfigError):
        storage.prepare()
    storage.close()


def test_what_it_says_of_its_schema_changes_nothing(database, admin, schema, monkeypatch):
    storage = PostgreSQLStorage(PostgreSQLOptions(url=database.url(), schema=schema))
    listed = f"SELECT count(*) FROM pg_tables WHERE schemaname = '{schema}'"
    assert storage.unprepared() == "it has no tables yet"
    assert admin.execute(listed).fetchone()[0] == 0
    storage.prepare()
    assert storage.unprepared() == ""
    monkeypatch.setattr("opus_storage_sqlite.schema.VERSION", "0002")
    assert storage.unprepared() == "its schema is 0001, and this OPUS needs 0002"
    storage.close()


def test_it_is_too_old(database, monkeypatch):
    monkeypatch.setattr(schema, "OLDEST", 99)
    assert "OPUS needs 99 or newer" in refusal(database.url())


def test_the_password_is_read_from_a_file(database, admin, options, schema, tmp_path):
    missing = tmp_path / "missing"
    assert f"{missing} cannot be read" in refusal(database.url(), password_file=missing)
    file = tmp_path / "password"
    file.write_text("a secret\n")
    known = PostgreSQLOptions(url=database.url(), schema=options.schema, password_file=file)
    storage = PostgreSQLStorage(known)
    storage.check()
    assert storage._database._parameters()["password"] == "a secret"
    storage.close()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"url": "mysql://opus@db/opus"}, "no address of a PostgreSQL database"),
        ({"url": "postgresql://db:port/opus"}, "no address of a PostgreSQL database"),
        ({"url": "postgresql://opus:secret@db/opus"}, "name a file in password_file"),
        ({"url": "postgresql://db/opus?password=secret"}, "name a file in password_file"),
        ({"schema": "a b"}, "no name of a schema"),
        ({"schema": "a; DROP TABLE jobs"}, "no name of a schema"),
        ({"connections": 1}, "at least 2"),
        ({"busy_timeout": 0}, "at least 0.1"),
        ({"password": "secret"}, "name a file in password_file"),
    ],
)
def test_a_mistake_in_the_table_is_told(table, words, tmp_path):
    with pytest.raises(ConfigError) as refused:
        fill(PostgreSQLOptions, table, where="[storage]", base=tmp_path, data_dir=Path("data"))
    assert words in refused.value.sentence
    assert "secret@" not in refused.value.sentence


def test_what_it_cannot_keep_is_the_clients_to_mend(storage):
    with pytest.raises(BadRequest) as refused:
        storage.add(a_job(run_id="a\0b"))
    assert "U+0000" in refused.value.sentence
    with pytest.raises(BadRequest):
        storage.add(a_job(run_id="\ud800"))


def test_texts_compare_by_code_point_whatever_the_locale(storage, admin, schema):
    [(collation,)] = set(
        admin.execute(
            "SELECT DISTINCT coalesce(collation_name, 'none') FROM information_schema.columns"
            " WHERE table_schema = %s AND data_type = 'text'",
            (schema,),
        )
    )
    assert collation == "C"


# -- what `opus check` finds


def found(storage):
    """Sentences by code."""
    return {one.code: one.sentence for one in storage.findings()}


def test_nothing_is_found_in_a_database_as_it_comes(storage):
    assert found(storage) == {}


def test_fewer_connections_than_are_opened(database, schema, admin):
    storage = PostgreSQLStorage(
        PostgreSQLOptions(url=database.url(), schema=schema, connections=40)
    )
    sentence = found(storage)["postgresql-connections"]
    assert "lets in 57 connections, and a web server and a supervisor may open 82" in sentence
    storage.close()
    admin.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 5")
    few = PostgreSQLStorage(PostgreSQLOptions(url=database.url().replace("opus@", "few@")))
    assert "lets in 5 connections" in found(few)["postgresql-connections"]
    few.close()


def test_a_database_that_forgets_when_power_fails(database, storage, admin):
    for setting in ("fsync", "full_page_writes"):
        admin.execute(f"ALTER SYSTEM SET {setting} = off")
        admin.execute("SELECT pg_reload_conf()")
        try:
            eventually(lambda: found(storage))
            sentence = found(storage)["postgresql-not-durable"]
            assert sentence.startswith(f"{setting} is off in the database")
        finally:
            admin.execute(f"ALTER SYSTEM RESET {setting}")
            admin.execute("SELECT pg_reload_conf()")
            eventually(lambda: not found(storage))


def test_the_clock_of_its_host(storage, pass_time, make):
    there = make()
    assert list(clocks.differing(clocks.STORAGE, "it", partial(clocks.of_storage, there))) == []
    pass_time(-50)
    [finding] = clocks.differing(clocks.STORAGE, "it", partial(clocks.of_storage, there))
    assert "50 s behind" in finding.sentence
    there.close()


def test_the_driver_is_loaded_only_where_the_storage_is_selected():
    said = (
        "import sys\n"
        "from opus_storage_postgresql.plugin import opus_register_storage as storage\n"
        "from opus_storage_postgresql.options import PostgreSQLOptions\n"
        "print('psycopg' in sys.modules)\n"
        "storage()(PostgreSQLOptions(url='postgresql://opus@127.0.0.1:9/opus'))\n"
        "print('psycopg' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
