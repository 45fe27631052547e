"""A storage in memory: the reference for `Storage`, and what the core's own tests run on.

Instances made with the same `universe` share what is stored, as two processes share a database:
a "restart" is a second instance. One lock guards a universe, so that every call is a transaction;
the promises, not speed or size, are what can be learned here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from opus_core.backends import (
    SUPERVISOR,
    Accounts,
    Health,
    Lease,
    Limits,
    Live,
    Record,
    Ref,
    Storage,
)
from opus_core.errors import (
    AlreadyAdded,
    ConfigError,
    Conflict,
    Gap,
    JobExists,
    LimitReached,
    Unavailable,
    UnknownJob,
)
from opus_core.job import ANYONE, Anyone, Change, Job, JobSummary, Phase, Work, cut
from opus_core.testing import memory_universe
from opus_core.testing.memory_lists import MemoryLists
from opus_core.testing.memory_universe import SCHEMA, Key, Row, Stream

KEY_KEPT: Final = timedelta(hours=24)
JOURNAL_KEPT: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions:
    """Which memory."""

    universe: str = "main"


class MemoryStorage(MemoryLists, Storage):
    """Everything is lost with the process, and only with it."""

    name: ClassVar[str] = "memory"
    about: ClassVar[str] = "In memory, for tests: nothing survives the process."
    Options: ClassVar[type[Any]] = MemoryOptions

    def __init__(self, options: MemoryOptions | None = None) -> None:
        super().__init__(options or MemoryOptions())
        self.universe = memory_universe.universe(self.options.universe)

    @staticmethod
    def forget(universe: str) -> None:
        """Drop all that is stored under this name."""
        memory_universe.forget(universe)

    def pass_time(self, seconds: float) -> None:
        """Put the clock of this universe forward."""
        with self.universe.changed:
            self.universe.ahead += timedelta(seconds=seconds)

    @contextmanager
    def failing(self, error: Unavailable) -> Iterator[None]:
        """Let nothing be written into this universe for as long as it lasts."""
        self.universe.fault = error
        try:
            yield
        finally:
            self.universe.fault = None

    def make_newer(self) -> None:
        """Let this universe look as if a later version of this module had made it."""
        self.universe.schema = SCHEMA + 1

    def check(self) -> None:
        if not self.options.universe.strip():
            raise ConfigError('a universe has a name; give one, as `universe = "main"`')

    def prepare(self) -> None:
        if self.universe.schema > SCHEMA:
            raise ConfigError(
                f"universe {self.options.universe!r} has schema {self.universe.schema}, newer than"
                f" {SCHEMA}, which this version knows; install the version that made it"
            )

    # -- jobs

    def add(self, job: Job, *, limits: Limits | None = None) -> Job:
        with self.universe.writing():
            now = self.universe.now()
            self._check_key(job, now)
            if job.id in self.universe.rows:
                raise JobExists(f"there is a job {job.id} already; make a new id")
            self._check_limits(job, limits, now)
            stored = _own(replace(job, version=1))
            self.universe.rows[job.id] = Row(stored, now if job.needs_supervisor else None)
            self.universe.created.append((job.quota_key, now))
            if job.idempotency:
                key = (job.quota_key, job.idempotency.key)
                self.universe.keys[key] = Key(job.id, job.idempotency.body, now)
            self._journal(stored, None, stored.phase)
            return _own(stored)

    def read(self, job_id: str, *, doomed: bool = False) -> Job:
        with self.universe.changed:
            return _own(self._row(job_id, doomed=doomed).job)

    def summary(self, job_id: str) -> JobSummary:
        with self.universe.changed:
            return self._row(job_id).job.summary()

    def save(
        self,
        job: Job,
        *,
        expected: int,
        limits: Limits | None = None,
        epoch: int | None = None,
        due: float | None = 0.0,
    ) -> Job:
        with self.universe.writing():
            row = self._row(job.id, doomed=True)
            old, now = row.job, self.universe.now()
            self._check_version(old, expected)
            self._check_epoch(epoch)
            self._check_limits(job, limits, now)
            new = _own(
                replace(
                    job,
                    version=expected + 1,
                    created=old.created,
                    idempotency=old.idempotency,
                    job_info=old.job_info,
                )
            )
            row.job = new
            wanted = due is not None and new.needs_supervisor
            row.due = now + timedelta(seconds=due or 0.0) if wanted else None
            if new.phase is not old.phase:
                self._journal(new, old.phase, new.phase)
            if new.doomed and not old.doomed:
                self._journal(new, new.phase, None)
            return _own(new)

    def note(self, job_id: str, info: Mapping[str, str]) -> None:
        with self.universe.writing():
            row = self.universe.rows.get(job_id)
            if row:
                merged = {**row.job.job_info, **info}
                row.job = replace(row.job, job_info={k: v for k, v in merged.items() if v})

    def poke(self, what: str, *, job_id: str | None = None, native_id: str | None = None) -> int:
        with self.universe.writing():
            found = [
                row
                for row in self.universe.rows.values()
                if row.job.id == job_id
                or (row.job.work is Work.LIVE and native_id in row.job.native_ids)
            ]
            for row in found:
                row.pokes.add(what)
            return len(found)

    def take_pokes(self, job_id: str) -> frozenset[str]:
        with self.universe.writing():
            row = self.universe.rows.get(job_id)
            if row is None:
                return frozenset()
            taken, row.pokes = frozenset(row.pokes), set()
            return taken

    def delete(self, job_id: str, *, expected: int) -> None:
        with self.universe.writing():
            row = self.universe.rows.get(job_id)
            if row:
                self._check_version(row.job, expected)
                del self.universe.rows[job_id]

    # -- for the supervisor

    def todo(self, limit: int, exclude: Collection[str] = ()) -> list[Job]:
        with self.universe.changed:
            now = self.universe.now()
            rows = [
                row
                for row in self.universe.rows.values()
                if row.job.id not in exclude and (row.pokes or (row.due and row.due <= now))
            ]
            rows.sort(key=lambda row: row.due or now)
            return [_own(row.job) for row in rows[:limit]]

    def live(self) -> Iterator[Live]:
        with self.universe.changed:
            jobs = [row.job for row in self.universe.rows.values() if row.job.work is Work.LIVE]
        for job in jobs:
            for native_id in job.native_ids:
                ref = Ref(tag=job.tag or "", native_id=native_id, submitted_at=job.submitted_at)
                yield Live(id=job.id, ref=ref, phase=job.phase, work=job.work, version=job.version)

    def expired(self, limit: int) -> list[tuple[str, int]]:
        with self.universe.changed:
            now = self.universe.now()
            past = sorted(
                (row.job.destruction, row.job.id, row.job.version)
                for row in self.universe.rows.values()
                if row.job.destruction is not None
                and row.job.destruction < now
                and not row.job.doomed
                and row.job.phase is not Phase.ARCHIVED
            )
            return [(job_id, version) for _, job_id, version in past[:limit]]

    def lease(self, name: str, holder: str, seconds: float) -> Lease:
        with self.universe.writing():
            now = self.universe.now()
            standing = self.universe.leases.get(name)
            if standing and standing.holder not in ("", holder) and standing.until > now:
                return standing
            epoch = standing.epoch if standing else 0
            if standing is None or standing.holder != holder:
                epoch += 1
            mine = Lease(
                name=name, holder=holder, epoch=epoch, until=now + timedelta(seconds=seconds)
            )
            self.universe.leases[name] = mine
            return mine

    def release(self, name: str, holder: str) -> None:
        with self.universe.writing():
            standing = self.universe.leases.get(name)
            if standing and standing.holder == holder:
                self.universe.leases[name] = replace(standing, holder="")

    # -- the journal

    def changes(
        self, after: int, *, owner: str | Anyone | None = ANYONE, limit: int = 1000
    ) -> tuple[int, list[Change]]:
        with self.universe.changed:
            if not 0 <= after <= self.universe.newest:
                return self.universe.newest, []
            if after < self.universe.removed:
                raise Gap(self.universe.newest)
            found: list[Change] = []
            for change in self.universe.journal:
                if change.seq <= after:
                    continue
                if len(found) == limit:
                    break
                after = change.seq
                if owner is ANYONE or change.owner == owner:
                    found.append(change)
            return after, found

    def wait_change(self, after: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        with self.universe.changed:
            while self.universe.newest <= after:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self.universe.changed.wait(left)
            return True

    # -- all else that must last

    def set_health(self, component: str, health: Health) -> None:
        with self.universe.writing():
            self.universe.health[component] = health

    def health(self) -> dict[str, Health]:
        with self.universe.changed:
            return dict(self.universe.health)

    def accounts(self) -> Accounts | None:
        return self.universe.accounts

    def append(self, stream: str, record: Mapping[str, Any], key: str | None = None) -> int:
        data = json.loads(json.dumps(record))
        with self.universe.writing():
            kept = self.universe.streams.setdefault(stream, Stream())
            if key is not None:
                kept.records = [one for one in kept.records if one.key != key]
            kept.newest += 1
            now = cut(self.universe.now())
            kept.records.append(Record(seq=kept.newest, key=key, time=now, data=data))
            return kept.newest

    def records(self, stream: str, after: int = 0, limit: int = 1000) -> list[Record]:
        with self.universe.changed:
            kept = self.universe.streams.get(stream, Stream()).records
            return [
                replace(one, data=json.loads(json.dumps(one.data)))
                for one in kept
                if one.seq > after
            ][:limit]

    def trim(self, stream: str, upto: int) -> None:
        with self.universe.writing():
            kept = self.universe.streams.get(stream, Stream())
            kept.records = [one for one in kept.records if one.seq > upto]

    # -- rules within a transaction

    def _row(self, job_id: str, *, doomed: bool = False) -> Row:
        row = self.universe.rows.get(job_id)
        if row is None or (row.job.doomed and not doomed):
            raise UnknownJob(job_id)
        return row

    def _check_version(self, stored: Job, expected: int) -> None:
        if stored.version != expected:
            raise Conflict(
                f"job {stored.id} has version {stored.version}, not {expected}; read it again"
            )

    def _check_epoch(self, epoch: int | None) -> None:
        standing = self.universe.leases.get(SUPERVISOR)
        if epoch is not None and standing and standing.epoch > epoch:
            raise Conflict(f"the supervisor of epoch {epoch} was replaced; it may save no more")

    def _check_key(self, job: Job, now: datetime) -> None:
        if job.idempotency is None:
            return
        used = self.universe.keys.get((job.quota_key, job.idempotency.key))
        if used and used.used > now - KEY_KEPT:
            raise AlreadyAdded(used.job_id, same_body=used.body == job.idempotency.body)

    def _check_limits(self, job: Job, limits: Limits | None, now: datetime) -> None:
        """Count what the quota key has beside this job, stored or not, and then this job."""
        if limits is None:
            return
        others = [
            row.job
            for row in self.universe.rows.values()
            if row.job.quota_key == job.quota_key and row.job.id != job.id
        ]
        hour = [
            when
            for key, when in self.universe.created
            if key == job.quota_key and when > now - timedelta(hours=1)
        ]
        active = sum(other.phase.active for other in others) + 1
        new = job.id not in self.universe.rows  # the hour is of creations alone
        kept = sum(other.bytes for other in others) + job.bytes
        if limits.active is not None and job.phase.active and active > limits.active:
            raise LimitReached(f"{limits.active} jobs may be active at once; wait for one to end")
        if limits.per_hour is not None and new and len(hour) >= limits.per_hour:
            raise LimitReached(f"{limits.per_hour} jobs may be created in an hour; try again later")
        if limits.bytes is not None and kept > limits.bytes:
            raise LimitReached(f"{limits.bytes} bytes may be kept at once; delete some jobs")

    def _journal(self, job: Job, old: Phase | None, new: Phase | None) -> None:
        now = cut(self.universe.now())
        self.universe.newest += 1
        self.universe.journal.append(
            Change(
                seq=self.universe.newest,
                job_id=job.id,
                definition=job.definition,
                owner=job.owner,
                run_id=job.run_id,
                old=old,
                new=new,
                time=now,
            )
        )
        while self.universe.journal[0].time < now - JOURNAL_KEPT:
            self.universe.removed = self.universe.journal.pop(0).seq
        self.universe.changed.notify_all()


def _own(job: Job) -> Job:
    """A copy that shares no mutable mapping with the one given."""
    return replace(job, options=dict(job.options), job_info=dict(job.job_info))
