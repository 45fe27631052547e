"""The journal of creations, changes of phase and dooms, read in the order they were committed.

Entries are numbered inside the writer's transaction, and from then on to its end nobody else
numbers any, so that the order of numbers is the order of commits. SQLite lets one write at a time
anyway; elsewhere `write_changes` takes a lock.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import takewhile
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from opus_core.backends import Storage
from opus_core.errors import Gap
from opus_core.job import ANYONE, Anyone, Change, DefinitionRef, Job, Phase
from opus_storage_sqlite.clock import DAY, clock, instant
from opus_storage_sqlite.database import Database
from opus_storage_sqlite.statements import Prepared, alone, announce, first
from opus_storage_sqlite.tables import horizon, journal

KEPT: Final = 30 * DAY
_TRIM_EVERY: Final = 64  # entries written
_TRIM: Final = 256  # entries looked at then: more than come in between, so it catches up

_written = (column for column in journal.columns.keys() if column not in ("seq", "time"))
_INSERT: Final = Prepared(
    insert(journal)
    .values({name: bindparam(name) for name in _written})
    .values(time=clock())
    .returning(journal.c.seq)
)
_REMOVED: Final = select(func.max(horizon.c.seq)).where(horizon.c.name == "journal")
_NEWEST: Final = select(func.coalesce(func.max(journal.c.seq), _REMOVED.scalar_subquery(), 0))
_LAST: Final = Prepared(_NEWEST)
_OLDEST: Final = (
    select(journal.c.seq, (journal.c.time < clock() - KEPT).label("old"))
    .order_by(journal.c.seq)
    .limit(_TRIM)
)

_ENTRY: Final = (
    journal.c.seq,
    journal.c.job_id,
    journal.c.definition,
    journal.c.number,
    journal.c.owner,
    journal.c.run_id,
    journal.c.old,
    journal.c.new,
    journal.c.time,
)
_head = select(
    _NEWEST.scalar_subquery().label("newest"),
    func.coalesce(_REMOVED.scalar_subquery(), 0).label("removed"),
).subquery()


def _entries(*mine: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """One statement, so that the newest number and the entries are of one state: a number read
    later could be behind an entry that was not yet there."""
    return (
        select(_head.c.newest, _head.c.removed, *_ENTRY)
        .select_from(_head.outerjoin(journal, and_(journal.c.seq > bindparam("after"), *mine)))
        .order_by(journal.c.seq)
        .limit(bindparam("enough"))
    )


_OF_ANYONE: Final = _entries()
_OF_ONE: Final = _entries(journal.c.owner == bindparam("owner"))
_OF_NOBODY: Final = _entries(journal.c.owner.is_(None))


class Journal(Storage):
    """The part of a storage that answers what has changed."""

    _database: Database

    def changes(
        self, after: int, *, owner: str | Anyone | None = ANYONE, limit: int = 1000
    ) -> tuple[int, list[Change]]:
        if after < 0:
            with self._database.reading() as connection:
                return connection.execute(_NEWEST).scalar_one(), []
        query = _OF_ANYONE if owner is ANYONE else _OF_NOBODY if owner is None else _OF_ONE
        values = {"after": after, "owner": owner, "enough": max(limit, 1)}
        with self._database.reading() as connection:
            rows = connection.execute(query, values).all()
        newest, removed = rows[0][:2]
        if after < removed:
            raise Gap(newest)
        found = [_change(*row[2:]) for row in rows if row.seq is not None][:limit]
        full = bool(found) and len(found) >= limit
        return (found[-1].seq if full else newest), found

    def wait_change(self, after: int, seconds: float) -> bool:
        """Wakes at once for what this process writes, and asks for what others do."""
        deadline = time.monotonic() + seconds
        while True:
            ticket = self._database.ticket()
            if (self._database.look(_LAST, {}, first) or 0) > after:
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._database.wait(ticket, left)


def _change(
    seq: int,
    job_id: str,
    definition: str,
    number: int,
    owner: str | None,
    run_id: str | None,
    old: str | None,
    new: str | None,
    when: int,
) -> Change:
    return Change(
        seq=seq,
        job_id=job_id,
        definition=DefinitionRef(definition, number),
        owner=owner,
        run_id=run_id,
        old=Phase(old) if old is not None else None,
        new=Phase(new) if new is not None else None,
        time=instant(when),
    )


def write_changes(
    connection: Connection, job: Job, *, old: Phase | None, was_doomed: bool = False
) -> bool:
    """Note what `job` became since it was in phase `old` (None: it is new). Answers whether there
    was anything to note."""
    steps: list[tuple[Phase | None, Phase | None]] = []
    if job.phase != old:
        steps.append((old, job.phase))
    if job.doomed and not was_doomed:
        steps.append((job.phase, None))
    if steps:
        alone(connection, "journal")
        announce(connection)
    for before, after in steps:
        seq = _write(
            connection,
            {
                "job_id": job.id,
                "definition": job.definition.name,
                "number": job.definition.number,
                "owner": job.owner,
                "run_id": job.run_id,
                "old": before.value if before is not None else None,
                "new": after.value if after is not None else None,
                "quota_key": job.quota_key if before is None else None,
            },
        )
        if seq % _TRIM_EVERY == 0:
            _trim(connection)
    return bool(steps)


def _write(connection: Connection, values: Mapping[str, Any]) -> int:
    return int(_INSERT.one(connection, values)[0])


def _trim(connection: Connection) -> None:
    """Remove the oldest entries if they are old, a bounded number, and remember up to where.

    Only a run of old entries from the very first: a clock that was set back must not make holes.
    """
    rows = connection.execute(_OLDEST).all()
    old = [row.seq for row in takewhile(lambda row: row.old, rows)]
    if not old:
        return
    connection.execute(delete(journal).where(journal.c.seq <= old[-1]))
    moved = connection.execute(
        update(horizon).where(horizon.c.name == "journal").values(seq=old[-1])
    )
    if moved.rowcount == 0:
        connection.execute(insert(horizon).values(name="journal", seq=old[-1]))
