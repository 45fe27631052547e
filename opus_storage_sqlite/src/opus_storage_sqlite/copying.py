"""One SQL storage copied into another: every row as it is, and the numbers that go on behind them.

Both have the same tables, whatever the database is, so nothing has to be understood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Table, func, insert, select, tuple_

from opus_core.backends import Storage
from opus_core.errors import ConfigError
from opus_storage_sqlite.database import Database
from opus_storage_sqlite.tables import journal, metadata, records

_PAGE: Final = 200  # rows, each of which may have some MiB
_NUMBERED: Final = (journal, records)


class Copying(Storage):
    """The part of a storage that hands over all that it has."""

    _database: Database

    def copy_into(self, other: Storage) -> Mapping[str, int]:
        if not isinstance(other, Copying):
            return super().copy_into(other)
        source, target = self._database, other._database
        with source.snapshot() as read, target.writing() as write:
            for table in metadata.sorted_tables:
                if write.execute(select(func.count()).select_from(table)).scalar_one():
                    raise ConfigError(
                        f"the {other.name} storage has something in it already: {table.name}; give"
                        " an empty one"
                    )
            copied = {table.name: _copy(table, read, write) for table in metadata.sorted_tables}
            for table in _NUMBERED:
                target.number_behind(write, table.name, source.last_number(read, table.name))
        target.journal_grew()
        return copied


def _copy(table: Table, read: Connection, write: Connection) -> int:
    count = 0
    for rows in _pages(table, read):
        write.execute(insert(table), rows)
        count += len(rows)
    return count


def _pages(table: Table, read: Connection) -> Iterator[list[dict[str, Any]]]:
    """All rows, by key."""
    keys = list(table.primary_key)
    asked = select(table).order_by(*keys).limit(_PAGE)
    page = asked
    while True:
        rows = read.execute(page).mappings().all()
        if rows:
            yield [dict(row) for row in rows]
        if len(rows) < _PAGE:
            return
        last = tuple(rows[-1][key.name] for key in keys)
        page = asked.where(tuple_(*keys) > last)
