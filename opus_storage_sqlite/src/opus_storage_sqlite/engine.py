"""Connections to one SQLite file: many that read, one at a time that writes.

This, `filesystem.py`, `schema.py` and `faults.py` are what is special to SQLite.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool

from opus_storage_sqlite.database import Database
from opus_storage_sqlite.faults import errors_in_our_words, locked
from opus_storage_sqlite.statements import Prepared

_T = TypeVar("_T")
_Row = tuple[Any, ...]

TRUSTED: Final = 1.0
"""[s] For so long one who only reads does not look whether the file is still the same."""

_READERS: Final = 8  # connections; a read takes well below a millisecond
_CACHE: Final = "cache_size=-8000"  # [-KiB], of each connection


class _Engines(NamedTuple):
    read: Engine
    write: Engine
    turn: threading.Lock
    """Writers of this process queue here, where they are woken, not in SQLite, which polls."""


class SQLiteDatabase(Database):
    """The connections of this process to a file."""

    ask_every = 0.1

    def __init__(self, path: Path, *, busy_timeout: float) -> None:
        super().__init__()
        self.path = path
        self._busy_timeout = busy_timeout  # [s]
        self._opening = threading.Lock()
        self._engines: _Engines | None = None
        _open_databases.add(self)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with errors_in_our_words(self.path), self._open().read.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        with self.reading() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")

    def last_number(self, connection: Connection, table: str) -> int:
        asked = "SELECT seq FROM sqlite_sequence WHERE name = ?"
        found = connection.exec_driver_sql(asked, (table,)).scalar_one_or_none()
        return int(found or 0)

    def number_behind(self, connection: Connection, table: str, last: int) -> None:
        connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        noted = "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)"
        connection.exec_driver_sql(noted, (table, last))

    def look(
        self, look: Prepared, values: Mapping[str, Any], take: Callable[[_Row], _T]
    ) -> _T | None:
        with errors_in_our_words(self.path):
            connection = self._open().read.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(look.text(), look.positional(values))
                row = cursor.fetchone()
                cursor.close()
                return None if row is None else take(row)
            finally:
                connection.close()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Nobody else writes beside it."""
        engines = self._open()
        if not engines.turn.acquire(timeout=self._busy_timeout):
            raise locked(self.path)
        try:
            with errors_in_our_words(self.path), engines.write.begin() as connection:
                yield connection
        finally:
            engines.turn.release()

    def checked_out(self) -> int:
        """How many connections are in use at this moment."""
        engines = self._engines
        if engines is None:
            return 0
        pools = [engine.pool for engine in (engines.read, engines.write)]
        return sum(pool.checkedout() for pool in pools if isinstance(pool, QueuePool))

    def close(self) -> None:
        with self._opening:
            engines, self._engines = self._engines, None
        if engines is not None:
            engines.read.dispose()
            engines.write.dispose()

    def forget(self) -> None:
        """In a child just forked: begin afresh, with locks that nobody holds."""
        self._opening = threading.Lock()
        self._engines = None
        self.forget_waiting()

    def _open(self) -> _Engines:
        engines = self._engines
        if engines is not None:
            return engines
        with self._opening:
            if self._engines is None:
                self._engines = _Engines(
                    self._engine(
                        "query_only=ON",
                        size=_READERS,
                        trusted=TRUSTED,
                        isolation_level="AUTOCOMMIT",
                        pool_reset_on_return=None,  # there is no transaction to end
                    ),
                    _immediate(self._engine("foreign_keys=ON", size=1)),
                    threading.Lock(),
                )
            return self._engines

    def _engine(
        self,
        *pragmas: str,
        size: int,
        trusted: float = 0.0,
        **options: Any,  # noqa: ANN401
    ) -> Engine:
        def connect() -> sqlite3.Connection:
            return open_file(self.path, self._busy_timeout, *pragmas)

        engine = create_engine(
            "sqlite://",
            hide_parameters=True,  # errors are logged, and what jobs are given is not
            creator=connect,
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=0,
            pool_timeout=self._busy_timeout,
            **options,
        )

        @event.listens_for(engine, "connect")
        def remember(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
            entry.info["file"], entry.info["at"] = self._file(), time.monotonic()

        @event.listens_for(engine, "checkout")
        def compare(connection: sqlite3.Connection, entry: ConnectionPoolEntry, _: object) -> None:
            # SQLite goes on writing into a file that was removed, and nobody would ever read it.
            present = time.monotonic()
            if present - entry.info["at"] < trusted:
                return
            entry.info["at"] = present
            if entry.info["file"] != self._file():
                raise exc.DisconnectionError

        return engine

    def _file(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino


def open_file(path: Path, busy_timeout: float, *pragmas: str) -> sqlite3.Connection:
    """Open a file that is there (SQLite would make an empty one in the place of one that was
    removed), without any transaction of Python's own."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=busy_timeout,
        isolation_level=None,
        check_same_thread=False,  # the pool hands a connection to one thread at a time
    )
    try:
        for pragma in ("synchronous=FULL", "temp_store=MEMORY", _CACHE, *pragmas):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def a_transaction(path: Path, busy_timeout: float) -> Iterator[Connection]:
    """One transaction on a connection of its own, in WAL mode and without foreign keys: a
    migration may have to make a table anew that others refer to."""
    engine = create_engine(
        "sqlite://",
        hide_parameters=True,
        creator=lambda: open_file(path, busy_timeout, "journal_mode=WAL"),
        poolclass=NullPool,
    )
    with errors_in_our_words(path), _immediate(engine).begin() as connection:
        yield connection


def _immediate(engine: Engine) -> Engine:
    """Let every transaction begin as a writer's: one that reads first and then wants to write
    would fail at once where another was faster, however long the timeout."""

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.execute("BEGIN IMMEDIATE")

    return engine


# A connection that crosses a fork breaks SQLite's locks in both processes, so none is left open
# (but what other threads are using at that very moment: a server forks before it serves).
_open_databases: weakref.WeakSet[SQLiteDatabase] = weakref.WeakSet()


def _close_all() -> None:
    for database in list(_open_databases):
        database.close()


def _forget_all() -> None:
    for database in list(_open_databases):
        database.forget()


os.register_at_fork(before=_close_all, after_in_child=_forget_all)
