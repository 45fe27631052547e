"""What the supervisor asks for: what is due, live or expired, and who may act."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Final

from sqlalchemy import bindparam, false, func, insert, select, union_all, update

from opus_core.backends import Lease, Live, Ref, Storage
from opus_core.job import Job, Phase, Work
from opus_storage_sqlite.clock import SECOND, clock, instant, instant_or_none
from opus_storage_sqlite.database import Database
from opus_storage_sqlite.document import JOB, AnyRow, job_of
from opus_storage_sqlite.statements import alone
from opus_storage_sqlite.tables import LIVE, UNARCHIVED, jobs, leases, pokes

_PAGE: Final = 1000
_TODO_PAGE: Final = 32
_TODO_SIZE: Final = 8 * 2**20  # [characters] of documents, after which no more jobs are read

# Those that are due and those that were poked come from an index each, oldest first.
_due = (
    select(jobs.c.id.label("job_id"), jobs.c.due.label("since"))
    .where(jobs.c.due.is_not(None), jobs.c.due <= clock())
    .order_by(jobs.c.due, jobs.c.id)
    .limit(bindparam("enough"))
)
_poked = (
    select(pokes.c.job_id, func.min(pokes.c.since).label("since"))
    .group_by(pokes.c.job_id)
    .order_by(func.min(pokes.c.since), pokes.c.job_id)
    .limit(bindparam("enough"))
)
_either = union_all(select(_due.subquery()), select(_poked.subquery())).subquery()
_first = (
    select(_either.c.job_id, func.min(_either.c.since).label("since"))
    .group_by(_either.c.job_id)
    .order_by(func.min(_either.c.since), _either.c.job_id)
    .limit(bindparam("enough"))
    .subquery()
)
_TODO: Final = select(_first.c.job_id).order_by(_first.c.since, _first.c.job_id)
_JOBS: Final = select(*JOB).where(jobs.c.id.in_(bindparam("ids", expanding=True)))

_LIVE_PAGE: Final = (
    select(
        jobs.c.id,
        jobs.c.tag,
        jobs.c.native_ids,
        jobs.c.submitted_at,
        jobs.c.phase,
        jobs.c.work,
        jobs.c.version,
    )
    .where(LIVE, jobs.c.id > bindparam("behind"))
    .order_by(jobs.c.id)
    .limit(_PAGE)
)

_EXPIRED: Final = (
    select(jobs.c.id, jobs.c.version)
    .where(
        jobs.c.destruction.is_not(None),
        jobs.c.destruction <= clock(),
        jobs.c.doomed.is_(false()),
        UNARCHIVED,
    )
    .order_by(jobs.c.destruction, jobs.c.id)
    .limit(bindparam("enough"))
)

_clock = select(clock().label("now")).subquery()
_STANDING: Final = select(
    _clock.c.now, leases.c.holder, leases.c.epoch, leases.c.until
).select_from(_clock.outerjoin(leases, leases.c.name == bindparam("lease_name")))


class Supervision(Storage):
    """The part of a storage that only the supervisor uses."""

    _database: Database

    def todo(self, limit: int, exclude: Collection[str] = ()) -> list[Job]:
        out = frozenset(exclude)
        with self._database.reading() as connection:
            ids = connection.execute(_TODO, {"enough": limit + len(out)}).scalars().all()
            wanted = [one for one in ids if one not in out][:limit]
            found: dict[str, Job] = {}
            size = 0
            for begin in range(0, len(wanted), _TODO_PAGE):
                page = {"ids": wanted[begin : begin + _TODO_PAGE]}
                with connection.execute(_JOBS, page) as rows:
                    for row in rows:
                        found[row.id] = job_of(row)
                        size += len(row.document)
                        if size > _TODO_SIZE:
                            break
                if size > _TODO_SIZE:
                    break
        return [found[one] for one in wanted if one in found]

    def live(self) -> Iterator[Live]:
        behind = ""
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(_LIVE_PAGE, {"behind": behind}).all()
            for row in rows:
                yield from _submissions(row)
            if len(rows) < _PAGE:
                return
            behind = rows[-1].id

    def expired(self, limit: int) -> list[tuple[str, int]]:
        with self._database.reading() as connection:
            rows = connection.execute(_EXPIRED, {"enough": limit}).all()
        return [(row.id, row.version) for row in rows]

    def lease(self, name: str, holder: str, seconds: float) -> Lease:
        with self._database.writing() as connection:
            alone(connection, f"lease {name}")
            standing = connection.execute(_STANDING, {"lease_name": name}).one()
            mine = standing.holder == holder
            if standing.holder is not None and not mine and standing.until > standing.now:
                until = instant(standing.until)
                return Lease(name=name, holder=standing.holder, epoch=standing.epoch, until=until)
            new = {
                "holder": holder,
                "epoch": (standing.epoch or 0) + (0 if mine else 1),
                "until": standing.now + round(seconds * SECOND),
            }
            if standing.epoch is None:
                connection.execute(insert(leases).values(name=name, **new))
            else:
                connection.execute(update(leases).where(leases.c.name == name).values(new))
        return Lease(name=name, holder=holder, epoch=new["epoch"], until=instant(new["until"]))

    def release(self, name: str, holder: str) -> None:
        with self._database.writing() as connection:
            connection.execute(
                update(leases)
                .where(leases.c.name == name, leases.c.holder == holder)
                .values(holder=None, until=clock())
            )


def _submissions(row: AnyRow) -> Iterator[Live]:
    for native_id in json.loads(row.native_ids):
        ref = Ref(
            tag=row.tag or "",
            native_id=native_id,
            submitted_at=instant_or_none(row.submitted_at),
        )
        yield Live(
            id=row.id, ref=ref, phase=Phase(row.phase), work=Work(row.work), version=row.version
        )
