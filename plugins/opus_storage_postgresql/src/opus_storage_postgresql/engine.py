"""Connections to one PostgreSQL database, and one more on which it tells that jobs have changed."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import QueuePool

from opus_core.errors import ConfigError
from opus_storage_postgresql.faults import errors_in_our_words
from opus_storage_postgresql.options import PostgreSQLOptions
from opus_storage_sqlite.database import Database
from opus_storage_sqlite.statements import CHANNEL, Prepared

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_TOLD: Final = 5.0  # [s] after which even one who is told looks
_NOT_TOLD: Final = 0.2  # [s] the same while the database cannot tell
_FIRST_RETRY: Final = 0.5  # [s]
_LONGEST_RETRY: Final = 15.0  # [s]
_LISTENS: Final = 1.0  # [s] between two looks whether to go on listening
# A host that has gone without a word is noticed, and lets go of what it has locked.
_ALIVE: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # [ms]
}


class _Engines(NamedTuple):
    """Two ways to use the connections of one pool."""

    read: Engine
    write: Engine


class PostgreSQLDatabase(Database):
    """The connections of this process to a database."""

    def __init__(self, options: PostgreSQLOptions) -> None:
        super().__init__()
        self.options = options
        self.where = f"the database {options.url.partition('?')[0]}"
        self._opening = threading.Lock()
        self._engines: _Engines | None = None
        self._listener: _Listener | None = None
        _open_databases.add(self)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with errors_in_our_words(self.where), self._open().read.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Others may write beside it; what must not meet takes locks of its own."""
        with errors_in_our_words(self.where), self._open().write.begin() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        one_state = self._open().write.execution_options(isolation_level="REPEATABLE READ")
        with errors_in_our_words(self.where), one_state.connect() as connection:
            yield connection

    def last_number(self, connection: Connection, table: str) -> int:
        asked = "SELECT last_value FROM pg_sequences WHERE schemaname = current_schema()"
        named = f"{asked} AND sequencename = %(name)s"
        found = connection.exec_driver_sql(named, {"name": _sequence(table)}).scalar_one()
        return int(found or 0)

    def number_behind(self, connection: Connection, table: str, last: int) -> None:
        # Before the first one the sequence has none, and 0 is no number of it.
        setting = "SELECT setval(%(name)s, greatest(%(last)s, 1), %(last)s > 0)"
        connection.exec_driver_sql(setting, {"name": _sequence(table), "last": last})

    def look(
        self, look: Prepared, values: Mapping[str, Any], take: Callable[[tuple[Any, ...]], _T]
    ) -> _T | None:
        with self.reading() as connection:
            row = look.row(connection, values)
            return None if row is None else take(row)

    @property
    def ask_every(self) -> float:
        listener = self._listener
        return _TOLD if listener is not None and listener.told else _NOT_TOLD

    def wait(self, ticket: int, seconds: float) -> None:
        with self._opening:
            if self._listener is None or not self._listener.alive:
                self._listener = _Listener(self)
        super().wait(ticket, seconds)

    def connect(self, **more: Any) -> psycopg.Connection[Any]:  # noqa: ANN401 - the driver's own
        """A connection of its own, as those of the pool are."""
        return psycopg.connect(**self._parameters(), **more)

    def checked_out(self) -> int:
        """How many connections are in use at this moment."""
        engines = self._engines
        pool = engines.write.pool if engines is not None else None
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    def close(self) -> None:
        with self._opening:
            engines, self._engines = self._engines, None
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()
        if engines is not None:
            engines.write.dispose()

    def forget(self) -> None:
        """In a child just forked: the connections are the parent's, which goes on using them."""
        engines, self._engines = self._engines, None
        if engines is not None:
            engines.write.dispose(close=False)
        self._opening = threading.Lock()
        self._listener = None
        self.forget_waiting()

    def _open(self) -> _Engines:
        engines = self._engines
        if engines is not None:
            return engines
        with self._opening:
            if self._engines is None:
                engine = create_engine(
                    "postgresql+psycopg://",
                    hide_parameters=True,  # errors are logged, and what jobs are given is not
                    creator=self.connect,
                    poolclass=QueuePool,
                    pool_size=self.options.connections,
                    max_overflow=0,
                    pool_timeout=self.options.busy_timeout,
                    pool_pre_ping=True,  # a database that was started again has closed them all
                )
                reading = engine.execution_options(isolation_level="AUTOCOMMIT")
                self._engines = _Engines(reading, engine)
            return self._engines

    def _parameters(self) -> dict[str, Any]:
        options = self.options
        wait = int(options.busy_timeout * 1000)  # [ms]
        settings = {
            "lock_timeout": f"{wait}",
            "statement_timeout": f"{max(60_000, 4 * wait)}",
            # One who stops in the middle, a host without power say, lets the others go on.
            "idle_in_transaction_session_timeout": f"{4 * wait}",
            "synchronous_commit": "on",  # a 303 that was sent is true after a power cut
            "timezone": "UTC",
        }
        if options.schema is not None:
            settings["search_path"] = options.schema
        found: dict[str, Any] = {
            "conninfo": options.url,
            "connect_timeout": max(2, int(options.busy_timeout)),
            "application_name": "opus",
            "client_encoding": "UTF8",
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
            **_ALIVE,
        }
        if options.password_file is not None:
            found["password"] = _password(options.password_file)
        return found


def _sequence(table: str) -> str:
    """As PostgreSQL calls that of a column `seq`."""
    return f"{table}_seq_seq"


def _password(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"[storage] password_file: {path} cannot be read: {what}") from error


class _Listener:
    """A thread with a connection on which the database tells that the journal has grown. Ends by
    itself when its `Database` is gone."""

    def __init__(self, database: PostgreSQLDatabase) -> None:
        self._database = weakref.ref(database)
        self._over = threading.Event()
        self.told = False  # at present
        self._thread = threading.Thread(target=self._run, name="opus-listen", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """It goes on."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let it end; returns at once."""
        self._over.set()

    def _run(self) -> None:
        retry = _FIRST_RETRY
        while not self._over.is_set():
            database = self._database()
            if database is None:
                return
            try:
                connection = database.connect(autocommit=True)
            except (psycopg.Error, ConfigError) as error:
                log.info("the storage cannot tell of changes now: %s", error)
                del database
                self._over.wait(retry)
                retry = min(retry * 2, _LONGEST_RETRY)
                continue
            retry = _FIRST_RETRY
            del database
            with suppress(psycopg.Error), connection:
                self._listen(connection)
            self.told = False

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"LISTEN {CHANNEL}")
        self.told = True
        self._wake()  # of what came before it listened
        while not self._over.is_set():
            for _ in connection.notifies(timeout=_LISTENS, stop_after=1):
                self._wake()
            if self._database() is None:
                return

    def _wake(self) -> None:
        database = self._database()
        if database is not None:
            database.journal_grew()


_open_databases: weakref.WeakSet[PostgreSQLDatabase] = weakref.WeakSet()


def _forget_all() -> None:
    for database in list(_open_databases):
        database.forget()


os.register_at_fork(after_in_child=_forget_all)
