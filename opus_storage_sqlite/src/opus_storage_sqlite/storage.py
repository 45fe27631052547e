"""The storage that keeps everything in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from opus_core.backends import Accounts
from opus_core.errors import ConfigError
from opus_storage_sqlite import filesystem, schema
from opus_storage_sqlite.accounts import SqlAccounts
from opus_storage_sqlite.copying import Copying
from opus_storage_sqlite.engine import SQLiteDatabase
from opus_storage_sqlite.jobs import Jobs
from opus_storage_sqlite.journal import Journal
from opus_storage_sqlite.lists import Lists
from opus_storage_sqlite.records import Records
from opus_storage_sqlite.supervision import Supervision

OLDEST_SQLITE: Final = (3, 35, 0)  # RETURNING


@dataclass(frozen=True, slots=True, kw_only=True)
class SQLiteOptions:
    """What `[storage]` may say beside `use = "sqlite"`."""

    path: Path = field(
        default=Path("opus.sqlite"),
        metadata={
            "help": "The database file, on a disk of this machine; SQLite keeps others beside it."
        },
    )
    busy_timeout: float = field(
        default=5.0,
        metadata={
            "help": "How long to wait for others who write before answering 503.",
            "unit": "seconds",
            "least": 0,
        },
    )


class SQLiteStorage(Jobs, Lists, Supervision, Journal, Records, Copying):
    """Any number of threads and processes of one machine, one of them writing at a time.

    The parts are mixed in from modules that say nothing of SQLite; only `engine` and
    `filesystem`, and the checks here, do.
    """

    name: ClassVar[str] = "sqlite"
    about: ClassVar[str] = "One file on a local disk, for servers on one machine."
    Options: ClassVar[type[Any]] = SQLiteOptions

    options: SQLiteOptions

    def __init__(self, options: SQLiteOptions) -> None:
        super().__init__(options)
        self._database = SQLiteDatabase(options.path, busy_timeout=options.busy_timeout)

    def check(self) -> None:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise ConfigError(
                f"[storage] sqlite needs SQLite {_dotted(OLDEST_SQLITE)} or newer, and this Python"
                f" has {sqlite3.sqlite_version}; take a newer Python"
            )
        if self.options.busy_timeout <= 0:
            raise ConfigError(
                f"[storage] busy_timeout = {self.options.busy_timeout} is not a time; give"
                " seconds, 5 for example"
            )
        _check_folder(self.options.path)
        schema.check(self.options.path, self.options.busy_timeout)

    def unprepared(self) -> str:
        return schema.behind(schema.check(self.options.path, self.options.busy_timeout))

    def prepare(self) -> None:
        schema.upgrade(self.options.path, self.options.busy_timeout)

    def accounts(self) -> Accounts:
        return SqlAccounts(self._database)

    def close(self) -> None:
        self._database.close()


def _check_folder(path: Path) -> None:
    """Raise `ConfigError` if the file cannot be, or must not be, where `path` says."""
    if path.exists() and not path.is_file():
        raise ConfigError(f"[storage] path: {path} is no file; name one")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise ConfigError(
            f"[storage] path: {path} may not be read and written by this user; change its owner"
        )
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ConfigError(
            f"[storage] path: there is no folder {folder}; create it, or name another"
        )
    kind = filesystem.kind_here(folder)
    if kind is not None and filesystem.is_network(kind):
        raise ConfigError(
            f"[storage] path: {folder} is on a network file system ({kind}), where SQLite loses"
            " data; name a file on a local disk, or use a database server"
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"[storage] path: no file can be made in {folder} ({error.strerror}), and SQLite makes"
            " two beside the database; give this user the right to write there"
        ) from error


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
