"""Bring the schema up to date, once, whoever else tries at the same time, on any host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection

from opus_core.errors import ConfigError
from opus_storage_sqlite import schema
from opus_storage_sqlite.schema import VERSION, VERSION_TABLE
from opus_storage_sqlite.statements import alone

if TYPE_CHECKING:
    from opus_storage_postgresql.engine import PostgreSQLDatabase

OLDEST: Final = 13
"""The oldest PostgreSQL that is still looked after by its makers, and that is tested."""


def upgrade(database: PostgreSQLDatabase) -> None:
    """Create the schema, or bring it up to date; all or nothing. Raises `ConfigError` as `check`
    does."""
    with database.writing() as connection:
        # It takes as long as it takes, and whoever comes second waits for it.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        alone(connection, "prepare")
        if version_of(connection, database) == VERSION:
            return
        schema.prepare(connection)


def unprepared(database: PostgreSQLDatabase) -> str:
    """Why `upgrade` would change something; empty if it would not."""
    with database.reading() as connection:
        return schema.behind(version_of(connection, database))


def check(database: PostgreSQLDatabase) -> None:
    """Raises `ConfigError` if the database cannot be used, or is another program's."""
    with database.reading() as connection:
        number = int(_one(connection, "SHOW server_version_num"))
        if number // 10_000 < OLDEST:
            raise ConfigError(
                f"[storage] url: {database.where} is PostgreSQL {number // 10_000}; OPUS needs"
                f" {OLDEST} or newer"
            )
        encoding = _one(connection, "SHOW server_encoding")
        if encoding != "UTF8":
            raise ConfigError(
                f"[storage] url: {database.where} keeps text in {encoding}; make one with"
                " createdb --encoding UTF8 --template template0"
            )
        if _one(connection, "SELECT pg_is_in_recovery()"):
            raise ConfigError(
                f"[storage] url: {database.where} is a standby, which nobody can write to; name"
                " the primary"
            )
        version_of(connection, database)


def version_of(connection: Connection, database: PostgreSQLDatabase) -> str | None:
    """The version of the schema; None if there is none yet."""
    where = _one(connection, "SELECT current_schema()")
    if where is None:
        raise ConfigError(
            f"[storage] {database.where} has no schema that this user may use; create one, and name"
            " it in schema"
        )
    listed = connection.exec_driver_sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %(where)s"
        " ORDER BY table_name",
        {"where": where},
    )
    tables = [row[0] for row in listed]
    version = None
    if VERSION_TABLE in tables:
        noted = f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608  a constant
        row = connection.exec_driver_sql(noted).fetchone()
        version = row[0] if row is not None else None
    elif tables:
        raise ConfigError(
            f"[storage] url: the schema {where} of {database.where} is another program's: it has a"
            f" table {tables[0]!r}, but no {VERSION_TABLE!r}; name another schema or database"
        )
    schema.refuse_newer(version, f"url: {database.where}")
    return version


def _one(connection: Connection, statement: str) -> Any:  # noqa: ANN401 - whatever it answers
    return connection.exec_driver_sql(statement).scalar_one()
