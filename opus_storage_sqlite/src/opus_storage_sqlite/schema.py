"""Bring the schema up to date, once, whoever else tries at the same time.

The migrations are alembic's and lie in this package; there is no alembic.ini. A database with
nothing in it gets at once what they would lead to, for which alembic, which takes half a second to
load, is not needed. The version that a database has stands in its table `opus_storage_version`.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert

from opus_core.errors import ConfigError, Unavailable
from opus_storage_sqlite.engine import a_transaction, open_file
from opus_storage_sqlite.faults import errors_in_our_words
from opus_storage_sqlite.tables import metadata, translate

if TYPE_CHECKING:
    from alembic.config import Config

VERSION: Final = "0001"
"""The newest schema that this code knows, and the only one it works with."""

VERSION_TABLE: Final = "opus_storage_version"
# As alembic makes it.
_version_table: Final = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)


def upgrade(path: Path, busy_timeout: float) -> None:
    """Create the file and the schema, or bring it up to date; nothing is done twice.

    All or nothing: one transaction holds every migration. Raises `ConfigError` as `check` does.
    """
    with _alone(path), errors_in_our_words(path):
        _create_file(path)
        version = check(path, busy_timeout)
        # The mode is kept in the file; a copy made by `VACUUM INTO` has lost it.
        open_file(path, busy_timeout, "journal_mode=WAL").close()
        if version == VERSION:
            return
        with a_transaction(path, busy_timeout) as connection:
            prepare(connection)


def prepare(connection: Connection) -> None:
    """Create the schema or bring it up to date, in the transaction of this connection, of any
    database."""
    if connection.dialect.has_table(connection, VERSION_TABLE):
        migrate(connection)
    else:
        create(connection)


def create(connection: Connection) -> None:
    """What all migrations lead to, where there is nothing yet."""
    translate(connection.dialect.name)
    metadata.create_all(connection, checkfirst=False)
    _version_table.create(connection)
    connection.execute(insert(_version_table).values(version_num=VERSION))


def migrate(connection: Connection) -> None:
    """Run the migrations that this database has not seen."""
    with _alembic() as config:
        from alembic import command

        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check(path: Path, busy_timeout: float) -> str | None:
    """The version of the schema; None if there is none yet.

    Raises `ConfigError` if it is newer than this code knows, or if the database is another
    program's.
    """
    if not path.exists():
        return None
    with errors_in_our_words(path), closing(open_file(path, busy_timeout)) as connection:
        version, tables = _version(connection)
    if version is None and VERSION_TABLE not in tables and tables:
        raise ConfigError(
            f"[storage] path: {path} is the database of another program: it has a table"
            f" {tables[0]!r}, but no {VERSION_TABLE!r}; name another file"
        )
    refuse_newer(version, f"path: {path}")
    return version


def behind(version: str | None) -> str:
    """What `upgrade` would find of that version; empty if it would have nothing to do."""
    if version is None:
        return "it has no tables yet"
    return "" if version == VERSION else f"its schema is {version}, and this OPUS needs {VERSION}"


def refuse_newer(version: str | None, where: str) -> None:
    """Raise `ConfigError` for a schema that there is no migration to. `where`: the key of
    [storage], and what it says."""
    if version not in (None, VERSION) and version not in versions():
        raise ConfigError(
            f"[storage] {where} has the schema {version}, and this opus-storage-sqlite knows"
            f" schemas up to {VERSION}; install the newer one again, or restore the back-up from"
            " before it"
        )


def _version(connection: sqlite3.Connection) -> tuple[str | None, list[str]]:
    """The version that is noted, and the names of all tables."""
    names = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    tables = [name for (name,) in connection.execute(names)]
    if VERSION_TABLE not in tables:
        return None, tables
    noted = f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608  a constant
    row = connection.execute(noted).fetchone()
    return (row[0] if row is not None else None), tables


def versions() -> set[str]:
    """All versions of the schema that there are migrations for."""
    from alembic.script import ScriptDirectory

    with _alembic() as config:
        revisions = ScriptDirectory.from_config(config).walk_revisions()
        return {revision.revision for revision in revisions}


@contextmanager
def _alembic() -> Iterator[Config]:
    # Imported where it is used: a start with nothing to migrate need not wait for it.
    from alembic.config import Config

    with as_file(files("opus_storage_sqlite") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        yield config


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process prepares the same database.

    A lock of SQLite's own would not do: the switch to WAL does not wait for one. Nor would one on
    the database file, since closing that drops SQLite's locks.
    """
    try:
        descriptor = os.open(f"{path}-prepare", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    except OSError as error:
        raise Unavailable(f"the storage {path} cannot be made: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _create_file(path: Path) -> None:
    # Parameters and hashes of passwords are nobody else's business; the files that SQLite makes
    # beside this one get the same permissions. O_EXCL, since closing a file that is in use here
    # would drop SQLite's locks on it.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o660))
    except FileExistsError:
        return
