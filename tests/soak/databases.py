"""The storages that are soaked: how a site names each, and what lies in it, read beside OPUS."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg.rows import dict_row

from services import postgresql

Row = dict[str, Any]

_CACHE = 8_000 * 2**10  # bytes of a connection of opus-storage-sqlite (engine.py)


class Database(Protocol):
    """One database, of one site."""

    table: str  # [storage], in the words of the configuration

    def rows(self, statement: str) -> list[Row]:
        """What a query in the SQL of both finds."""

    def damage(self) -> str:
        """What is wrong with its pages and indexes; nothing, mostly."""

    def size(self) -> int:
        """Bytes on the disk."""

    def kept(self, pid: int) -> float:
        """What of it a process may keep in its memory [MiB]: it grows with the database."""


class Lite:
    """A file of SQLite's in the site's data folder."""

    table = 'use = "sqlite"'

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, statement: str) -> list[Row]:
        with closing(self._open()) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(statement)]

    def damage(self) -> str:
        (sound,) = self.rows("PRAGMA integrity_check")
        return "" if sound["integrity_check"] == "ok" else str(sound["integrity_check"])

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.path.parent.glob(f"{self.path.name}*"))

    def kept(self, pid: int) -> float:
        """Each connection keeps its pages, up to a bound."""
        links = list(_opened(pid))
        pages = min(self.path.stat().st_size, _CACHE)
        return links.count(str(self.path)) * pages / 2**20

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=30)


def _opened(pid: int) -> Iterator[str]:
    """What a process has open."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield os.readlink(link)


class Postgres:
    """A database of a server of our own, which others are not served by: it may be harmed."""

    def __init__(self, server: postgresql.Server, name: str) -> None:
        self.server, self.name = server, name
        self.url = server.url(name)
        self.table = f'use = "postgresql"\nurl = "{self.url}"'
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")

    def rows(self, statement: str) -> list[Row]:
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            return connection.execute(statement).fetchall()

    def damage(self) -> str:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS amcheck")
            try:
                connection.execute(
                    "SELECT bt_index_check(i.indexrelid, true) FROM pg_index i"
                    " JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam"
                    " WHERE m.amname = 'btree' AND i.indisvalid"
                )
            except psycopg.errors.IndexCorrupted as error:
                return str(error)
        return ""

    def size(self) -> int:
        return int(self.rows("SELECT pg_database_size(current_database()) AS size")[0]["size"])

    def kept(self, pid: int) -> float:
        return 0.0  # the pages are the server's

    def cut_connections(self) -> None:
        """All that the site has, as a failing network does."""
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (self.name,),
            )


@contextmanager
def server() -> Iterator[postgresql.Server]:
    """A PostgreSQL server, for as long as it takes."""
    # Where the user that it runs as may enter.
    with tempfile.TemporaryDirectory(prefix="opus-soak-postgresql-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        with postgresql.server(Path(folder) / "server") as one:
            yield one
