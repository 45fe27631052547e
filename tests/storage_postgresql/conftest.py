from __future__ import annotations

import secrets

import psycopg
import pytest

from opus_storage_postgresql.engine import PostgreSQLDatabase
from opus_storage_postgresql.options import PostgreSQLOptions
from opus_storage_postgresql.storage import PostgreSQLStorage
from services.postgresql import private_server


@pytest.fixture(scope="session")
def database():
    """A PostgreSQL that runs; tests that stop it start it again."""
    with private_server() as one:
        yield one


@pytest.fixture
def admin(database):
    """A connection that may do everything."""
    with psycopg.connect(database.url(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def schema(database):
    """A schema with nothing in it."""
    name = f"t_{secrets.token_hex(8)}"
    with psycopg.connect(database.url(), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    yield name
    with psycopg.connect(database.url(), autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def options(database, schema):
    return PostgreSQLOptions(url=database.url(), schema=schema, busy_timeout=2.0)


@pytest.fixture
def make(options):
    """Makes instances on one schema."""
    return lambda: PostgreSQLStorage(options)


@pytest.fixture
def storage(make):
    storage = make()
    storage.prepare()
    yield storage
    storage.close()


@pytest.fixture
def pass_time(database, schema, monkeypatch):
    """Puts the clock forward: the database's is its function `clock_timestamp`, in whose place
    there is another one."""
    clock = f"clock_{schema}"
    with psycopg.connect(database.url(), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {clock}")
        connection.execute(f"CREATE TABLE {clock}.ahead AS SELECT interval '0 s' AS time")
        connection.execute(
            f"CREATE FUNCTION {clock}.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS"
            f" $$SELECT pg_catalog.clock_timestamp() + time FROM {clock}.ahead$$"
        )
    own = PostgreSQLDatabase._parameters

    def parameters(self):
        found = own(self)
        path = f"-c search_path={self.options.schema},{clock},pg_catalog"
        return {**found, "options": f"{found['options']} {path}"}

    monkeypatch.setattr(PostgreSQLDatabase, "_parameters", parameters)

    def pass_time(seconds):
        with psycopg.connect(database.url(), autocommit=True) as connection:
            connection.execute(
                f"UPDATE {clock}.ahead SET time = time + %s * interval '1 s'", (seconds,)
            )

    yield pass_time
    with psycopg.connect(database.url(), autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {clock} CASCADE")
