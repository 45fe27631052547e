"""The storage that keeps everything in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from opus_core.backends import Accounts
from opus_core.errors import ConfigError, Unavailable
from opus_core.finding import Code, Finding
from opus_storage_postgresql import schema, survey
from opus_storage_postgresql.options import PostgreSQLOptions
from opus_storage_sqlite.accounts import SqlAccounts
from opus_storage_sqlite.copying import Copying
from opus_storage_sqlite.jobs import Jobs
from opus_storage_sqlite.journal import Journal
from opus_storage_sqlite.lists import Lists
from opus_storage_sqlite.records import Records
from opus_storage_sqlite.supervision import Supervision

if TYPE_CHECKING:
    from opus_storage_postgresql.engine import PostgreSQLDatabase


class PostgreSQLStorage(Jobs, Lists, Supervision, Journal, Records, Copying):
    """Any number of processes on any number of hosts, which write at the same time."""

    name: ClassVar[str] = "postgresql"
    about: ClassVar[str] = "A PostgreSQL database, for any number of servers."
    Options: ClassVar[type[Any]] = PostgreSQLOptions

    codes: ClassVar[tuple[Code, ...]] = survey.CODES

    options: PostgreSQLOptions
    _database: PostgreSQLDatabase

    def __init__(self, options: PostgreSQLOptions) -> None:
        super().__init__(options)
        # The driver is loaded by whoever selects this storage, not by all who have it installed.
        from opus_storage_postgresql.engine import PostgreSQLDatabase

        self._database = PostgreSQLDatabase(options)

    def check(self) -> None:
        try:
            schema.check(self._database)
        except Unavailable as error:
            raise ConfigError(f"[storage] {error.sentence}") from error

    def findings(self) -> Iterable[Finding]:
        return survey.findings(self._database)

    def unprepared(self) -> str:
        return schema.unprepared(self._database)

    def prepare(self) -> None:
        schema.upgrade(self._database)

    def accounts(self) -> Accounts:
        return SqlAccounts(self._database)

    def close(self) -> None:
        self._database.close()
