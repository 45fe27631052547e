"""What the supervisor asks for: what is due, live or expired, and who may act."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from sqlalchemy import bindparam, false, func, insert, select, union_all, update

from opus_core.backends import Lease, Live, Ref, Storage
from opus_core.job import Job, Phase, Work
from opus_storage_sqlite.clock import SECOND, clock, instant, instant_or_none
from opus_storage_sqlite.database import Database
from opus_storage_sqlite.document import JOB, job_of
from opus_storage_sqlite.statements import Prepared, alone, first
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
_TODO: Final = Prepared(select(_first.c.job_id).order_by(_first.c.since, _first.c.job_id))
_JOBS: Final = select(*JOB).where(jobs.c.id.in_(bindparam("ids", expanding=True)))

_live_page = (
    select(
        jobs.c.id,
        jobs.c.version,
        jobs.c.tag,
        jobs.c.native_ids,
        jobs.c.submitted_at,
        jobs.c.phase,
        jobs.c.work,
    )
    .where(LIVE, jobs.c.id > bindparam("behind"))
    .order_by(jobs.c.id)
    .limit(_PAGE)
)
_LIVE_PAGE: Final = Prepared(_live_page)

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
_standing = select(_clock.c.now, leases.c.holder, leases.c.epoch, leases.c.until).select_from(
    _clock.outerjoin(leases, leases.c.name == bindparam("lease_name"))
)
_STANDING: Final = Prepared(_standing)
_RENEW: Final = Prepared(
    update(leases)
    .where(leases.c.name == bindparam("lease_name"))
    .values(holder=bindparam("who"), epoch=bindparam("at"), until=bindparam("to"))
)


class Supervision(Storage):
    """The part of a storage that only the supervisor uses."""

    _database: Database
    _listed: Mapping[tuple[str, int], tuple[Live, ...]] = MappingProxyType({})

    def todo(self, limit: int, exclude: Collection[str] = ()) -> list[Job]:
        out = frozenset(exclude)
        with self._database.reading() as connection:
            ids = map(first, _TODO.rows(connection, {"enough": limit + len(out)}))
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
        # All are listed at every poll, and few of them have changed since the one before.
        before, listed = self._listed, {}
        behind = ""
        while True:
            with self._database.reading() as connection:
                rows = _LIVE_PAGE.rows(connection, {"behind": behind})
            for job_id, version, *rest in rows:
                lives = before.get((job_id, version)) or _submissions(job_id, version, *rest)
                listed[job_id, version] = lives
                yield from lives
            if len(rows) < _PAGE:
                self._listed = listed
                return
            behind = rows[-1][0]

    def expired(self, limit: int) -> list[tuple[str, int]]:
        with self._database.reading() as connection:
            rows = connection.execute(_EXPIRED, {"enough": limit}).all()
        return [(row.id, row.version) for row in rows]

    def lease(self, name: str, holder: str, seconds: float) -> Lease:
        with self._database.writing() as connection:
            alone(connection, f"lease {name}")
            present, who, epoch, until = _STANDING.one(connection, {"lease_name": name})
            mine = who == holder
            if who is not None and not mine and until > present:
                return Lease(name=name, holder=who, epoch=epoch, until=instant(until))
            at, to = (epoch or 0) + (0 if mine else 1), present + round(seconds * SECOND)
            if epoch is None:
                new = {"name": name, "holder": holder, "epoch": at, "until": to}
                connection.execute(insert(leases).values(new))
            else:
                _RENEW.change(connection, {"lease_name": name, "who": holder, "at": at, "to": to})
        return Lease(name=name, holder=holder, epoch=at, until=instant(to))

    def release(self, name: str, holder: str) -> None:
        with self._database.writing() as connection:
            connection.execute(
                update(leases)
                .where(leases.c.name == name, leases.c.holder == holder)
                .values(holder=None, until=clock())
            )


def _submissions(
    job_id: str,
    version: int,
    tag: str | None,
    native_ids: str,
    submitted_at: int | None,
    phase: str,
    work: str,
) -> tuple[Live, ...]:
    """Those of one row of `_LIVE_PAGE`; none that a later version of the job can change."""
    submitted = instant_or_none(submitted_at)
    refs = (
        Ref(tag=tag or "", native_id=native_id, submitted_at=submitted)
        for native_id in json.loads(native_ids)
    )
    return tuple(
        Live(id=job_id, ref=ref, phase=Phase(phase), work=Work(work), version=version)
        for ref in refs
    )
