"""Statements of SQL that are written once for every database.

What differs between databases is decided here by the name of the dialect, and in `clock`; each
brings a `Database` of its own (`database.py`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Executable,
    Table,
    bindparam,
    exc,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

__all__ = ["INTEGRITY", "Prepared", "alone", "announce", "first", "position", "upsert"]

INTEGRITY: Final = (sqlite3.IntegrityError, exc.IntegrityError)
"""What is raised for a row that must not be: by a driver, and by SQLAlchemy in its place."""

CHANNEL: Final = "opus_journal"
"""On which a PostgreSQL tells that the journal has grown."""

_Row = tuple[Any, ...]


class _Words(NamedTuple):
    """What a database can say that not all can."""

    dialect: Dialect
    insert: Any  # with ON CONFLICT


@cache
def _words(name: str) -> _Words:
    if name == "sqlite":
        return _Words(sqlite.dialect(), sqlite.insert)
    # Loading it takes a tenth of a server's start, which those without such a database are spared.
    from sqlalchemy.dialects import postgresql

    psycopg: Any = postgresql.psycopg.dialect  # which has no types
    return _Words(psycopg(), postgresql.insert)


class _Text:
    """A statement in the words of one dialect."""

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        self.text = str(compiled)
        self.names = tuple(compiled.positiontup or ())
        self.own: dict[str, Any] = dict(compiled.params)  # what stands in the statement itself


class Prepared:
    """A statement written by SQLAlchemy once, and given to the driver as it is.

    For what is done thousands of times a second: what SQLAlchemy does around a statement takes
    longer than these.
    """

    def __init__(self, statement: Executable | Callable[[Any], Executable]) -> None:
        """A function is given the database's own `insert`, and makes a statement with it."""
        self._statement = statement
        self._texts: dict[str, _Text] = {}

    def text(self, dialect: str = "sqlite") -> str:
        """The statement as that database is given it."""
        return self._in(dialect).text

    def positional(self, given: Mapping[str, Any]) -> list[Any]:
        """What SQLite is to put into the text, in its order."""
        words = self._in("sqlite")
        return [given[name] if name in given else words.own[name] for name in words.names]

    def row(self, connection: Connection, values: Mapping[str, Any]) -> _Row | None:
        """Execute it; the first row of its answer, if there is any."""
        found = self.rows(connection, values)
        return found[0] if found else None

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> list[_Row]:
        """Execute it; all rows of its answer."""
        found: list[_Row] = self._run(connection, values).fetchall()
        return found

    def one(self, connection: Connection, values: Mapping[str, Any]) -> _Row:
        """Execute it; the row that it always answers."""
        return self.rows(connection, values)[0]

    def change(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Execute it; how many rows it changed."""
        return int(self._run(connection, values).rowcount)

    def _run(self, connection: Connection, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
        if connection.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            return driver.execute(self.text(), self.positional(values))
        words = self._in(connection.dialect.name)
        given = {name: values.get(name, own) for name, own in words.own.items()}
        return connection.exec_driver_sql(words.text, given)

    def _in(self, dialect: str) -> _Text:
        words = self._texts.get(dialect)
        if words is None:
            found, statement = _words(dialect), self._statement
            if not isinstance(statement, Executable):
                statement = statement(found.insert)
            words = self._texts[dialect] = _Text(statement, found.dialect)
        return words


def upsert(
    table: Table,
    *returning: ColumnElement[Any],
    update: Callable[[Any], Mapping[str, Any]] | None = None,
    **own: ColumnElement[Any],
) -> Prepared:
    """A row that is put into a table, or else changes the one that has its key.

    Its columns are given by their names, but for those of which `own` says what stands in them.
    `update` makes, out of the columns of the new row, those of the one that is there, which stays
    as it is if nothing is said.
    """

    def write(insert: Any) -> Executable:  # noqa: ANN401
        given: dict[str, Any] = {name: bindparam(name) for name in table.columns.keys()}
        new = insert(table).values(given | own)
        if update is None:
            new = new.on_conflict_do_nothing()
        else:
            key = list(table.primary_key.columns)
            new = new.on_conflict_do_update(index_elements=key, set_=update(new.excluded))
        whole: Executable = new.returning(*returning) if returning else new
        return whole

    return Prepared(write)


def first(row: _Row) -> Any:  # noqa: ANN401
    """What stands in the first column."""
    return row[0]


def alone(connection: Connection, what: str) -> None:
    """Until the end of the transaction nobody else does the same, on any host. Several are taken
    in the order: of a key, a lease or a stream, and last the journal's."""
    if connection.dialect.name == "postgresql":
        lock = "SELECT pg_advisory_xact_lock(hashtextextended(%(what)s, 0))"
        connection.exec_driver_sql(lock, {"what": f"opus {what}"})
    # In SQLite one writes at a time.


def announce(connection: Connection) -> None:
    """Tell those who wait on other hosts that the journal has grown, as soon as it has."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")


class position(FunctionElement[int]):
    """Where a text has another one in it, from 1; 0 for nowhere. Every character stands for
    itself."""

    type = BigInteger()
    inherit_cache = True


@compiles(position, "sqlite")
def _sqlite_position(element: position, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401
    return f"instr({compiler.process(element.clauses, **kw)})"


@compiles(position, "postgresql")
def _postgresql_position(element: position, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401
    return f"strpos({compiler.process(element.clauses, **kw)})"
