"""Jobs: added, read, saved if nobody was faster, deleted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    exists,
    false,
    insert,
    null,
    select,
    update,
)

from opus_core.backends import SUPERVISOR, Limits, Storage
from opus_core.errors import Conflict, JobExists, UnknownJob
from opus_core.job import Idempotency, Job, JobSummary, Phase
from opus_storage_sqlite import quotas
from opus_storage_sqlite.clock import SECOND, clock, instant, micros
from opus_storage_sqlite.database import Database
from opus_storage_sqlite.document import JOB, SUMMARY, columns, dump, job_of, summary_of
from opus_storage_sqlite.journal import write_changes
from opus_storage_sqlite.statements import INTEGRITY, Prepared, alone, first, upsert
from opus_storage_sqlite.tables import LIVE, jobs, leases, natives, pokes

_ONE: Final = jobs.c.id == bindparam("job_id")
_STANDS: Final = jobs.c.doomed.is_(false())
_READ: Final = Prepared(select(*JOB).where(_ONE, _STANDS))
_READ_DOOMED: Final = Prepared(select(*JOB).where(_ONE))
_SUMMARY: Final = Prepared(select(*SUMMARY).where(_ONE, _STANDS))


class _Stored(NamedTuple):
    """What a save has to know of the row that it replaces."""

    version: int
    phase: str
    doomed: bool
    created: int
    bytes: int
    quota_key: str
    native_ids: str
    idempotency_key: str | None
    idempotency_body: str
    job_info: str


_STORED: Final = Prepared(
    select(*(jobs.c[name] for name in _Stored._fields))
    .where(jobs.c.id == bindparam("job_id"))
    .with_for_update()
)
_add = insert(jobs).values(
    {column.name: bindparam(column.name) for column in jobs.columns if column.name != "due"}
)
_ADD: Final = Prepared(_add)
_ADD_DUE: Final = Prepared(_add.values(due=clock()))
# Locked, so that nobody takes over before this is committed.
_EPOCH: Final = Prepared(
    select(leases.c.epoch).where(leases.c.name == SUPERVISOR).with_for_update(read=True)
)
_INFO: Final = select(jobs.c.job_info).where(_ONE)
_NOTED: Final = Prepared(_INFO)
_POKED: Final = Prepared(select(exists().where(pokes.c.job_id == bindparam("job_id"))))
_POKE: Final = upsert(pokes, since=clock())
_KEPT: Final = ("id", "created", "idempotency_key", "idempotency_body", "job_info")
_save = (
    update(jobs)
    .where(jobs.c.id == bindparam("at_id"), jobs.c.version == bindparam("at_version"))
    .values({name: bindparam(name) for name in jobs.columns.keys() if name not in _KEPT})
    .values(version=jobs.c.version + 1, due=null())
)
_SAVE: Final = Prepared(_save)
_SAVE_DUE: Final = Prepared(_save.values(due=clock() + bindparam("delay")))


class Jobs(Storage):
    """The part of a storage that keeps jobs."""

    _database: Database

    def add(self, job: Job, *, limits: Limits | None = None) -> Job:
        added = replace(job, version=1)
        key = job.idempotency
        values = columns(added) | {
            "id": job.id,
            "version": 1,
            "created": micros(job.created),
            "idempotency_key": key.key if key else None,
            "idempotency_body": key.body if key else None,
            "job_info": dump(dict(job.job_info)),
        }
        with self._database.writing() as connection:
            if key is not None or limits is not None:
                alone(connection, f"key {job.quota_key}")
            quotas.remember_key(connection, added)
            try:
                (_ADD_DUE if job.needs_supervisor else _ADD).change(connection, values)
            except INTEGRITY as error:
                raise JobExists(f"a job {job.id!r} is stored already; take another id") from error
            if limits is not None:
                quotas.check_hour(connection, job.quota_key, limits)
            quotas.count(
                connection,
                job.quota_key,
                active=int(job.phase.active),
                size=job.bytes,
                limits=limits,
                checks_active=job.phase.active,
            )
            _keep_native_ids(connection, added)
            write_changes(connection, added, old=None)
        self._database.journal_grew()
        return added

    def read(self, job_id: str, *, doomed: bool = False) -> Job:
        # With the connection in hand: of large ones, no more are taken apart at once.
        look = _READ_DOOMED if doomed else _READ
        job = self._database.look(look, {"job_id": job_id}, job_of)
        if job is None:
            raise UnknownJob(job_id)
        return job

    def summary(self, job_id: str) -> JobSummary:
        summary = self._database.look(_SUMMARY, {"job_id": job_id}, summary_of)
        if summary is None:
            raise UnknownJob(job_id)
        return summary

    def save(
        self,
        job: Job,
        *,
        expected: int,
        limits: Limits | None = None,
        epoch: int | None = None,
        due: float | None = 0.0,
    ) -> Job:
        values = columns(job)
        with self._database.writing() as connection:
            stored = _stored(connection, job.id, expected)
            if epoch is not None:
                _check_epoch(connection, epoch)
            _replace(connection, job, expected, values, due)
            _recount(connection, stored, job, limits)
            if values["native_ids"] != stored.native_ids:
                connection.execute(delete(natives).where(natives.c.job_id == job.id))
                _keep_native_ids(connection, job)
            grew = write_changes(connection, job, old=Phase(stored.phase), was_doomed=stored.doomed)
        if grew:
            self._database.journal_grew()
        key = stored.idempotency_key
        return replace(
            job,
            version=expected + 1,
            created=instant(stored.created),
            idempotency=Idempotency(key=key, body=stored.idempotency_body)
            if key is not None
            else None,
            job_info=json.loads(stored.job_info),
        )

    def note(self, job_id: str, info: Mapping[str, str]) -> None:
        # Most of what is noted is noted already, and nobody else need wait for that.
        stored = self._database.look(_NOTED, {"job_id": job_id}, first)
        if stored is None or _merged(stored, info) == stored:
            return
        with self._database.writing() as connection:
            locked = _INFO.with_for_update()
            stored = connection.execute(locked, {"job_id": job_id}).scalar_one_or_none()
            if stored is not None:
                merged = _merged(stored, info)
                connection.execute(update(jobs).where(jobs.c.id == job_id).values(job_info=merged))

    def poke(self, what: str, *, job_id: str | None = None, native_id: str | None = None) -> int:
        if job_id is None and native_id is None:
            raise TypeError("poke needs a job_id or a native_id")
        found = select(jobs.c.id)
        if job_id is not None:
            found = found.where(jobs.c.id == job_id)
        if native_id is not None:
            found = found.join(natives, natives.c.job_id == jobs.c.id)
            found = found.where(natives.c.native_id == native_id, LIVE)
        with self._database.writing() as connection:
            held = found.with_for_update(read=True, key_share=True, of=jobs)
            ids = connection.execute(held).scalars().all()
            for one in ids:
                _POKE.change(connection, {"job_id": one, "what": what})
        return len(ids)

    def take_pokes(self, job_id: str) -> frozenset[str]:
        # Of most jobs nobody wants anything, and that is no reason to wait for those who write.
        if not self._database.look(_POKED, {"job_id": job_id}, first):
            return frozenset()
        with self._database.writing() as connection:
            taken = connection.execute(
                delete(pokes).where(pokes.c.job_id == job_id).returning(pokes.c.what)
            )
            return frozenset(taken.scalars())

    def delete(self, job_id: str, *, expected: int) -> None:
        with self._database.writing() as connection:
            try:
                stored = _stored(connection, job_id, expected)
            except UnknownJob:
                return
            connection.execute(delete(jobs).where(jobs.c.id == job_id))
            quotas.count(
                connection,
                stored.quota_key,
                active=-int(Phase(stored.phase).active),
                size=-stored.bytes,
            )


def _merged(stored: str, info: Mapping[str, str]) -> str:
    """job_info as it is stored, with what is noted now."""
    merged = {**json.loads(stored), **info}
    return dump({word: value for word, value in merged.items() if value != ""})


def _stored(connection: Connection, job_id: str, expected: int) -> _Stored:
    """What is stored, to be replaced. Raises `UnknownJob`, and `Conflict` for another version."""
    found = _STORED.row(connection, {"job_id": job_id})
    if found is None:
        raise UnknownJob(job_id)
    row = _Stored(*found)
    if row.version != expected:
        raise Conflict(
            f"job {job_id} was changed by somebody else: it has version {row.version}, not"
            f" {expected}; read it again"
        )
    return row


def _check_epoch(connection: Connection, epoch: int) -> None:
    newest = _EPOCH.row(connection, {})
    if newest is not None and newest[0] > epoch:
        raise Conflict(
            f"another supervisor has taken over (lease epoch {newest[0]}, not {epoch}); leave the"
            " jobs to it"
        )


def _replace(
    connection: Connection, job: Job, expected: int, values: Mapping[str, Any], due: float | None
) -> None:
    given = {"at_id": job.id, "at_version": expected, **values}
    if due is not None and job.needs_supervisor:
        done = _SAVE_DUE.change(connection, given | {"delay": round(due * SECOND)})
    else:
        done = _SAVE.change(connection, given)
    if done != 1:
        raise Conflict(f"job {job.id} was changed by somebody else; read it again")


def _recount(connection: Connection, stored: _Stored, job: Job, limits: Limits | None) -> None:
    was_active, was_bytes = int(Phase(stored.phase).active), stored.bytes
    if stored.quota_key != job.quota_key:
        quotas.count(connection, stored.quota_key, active=-was_active, size=-was_bytes)
        was_active = was_bytes = 0
    quotas.count(
        connection,
        job.quota_key,
        active=int(job.phase.active) - was_active,
        size=job.bytes - was_bytes,
        limits=limits,
        checks_active=job.phase.active,
    )


def _keep_native_ids(connection: Connection, job: Job) -> None:
    ids = dict.fromkeys(job.native_ids)
    if ids:
        connection.execute(insert(natives), [{"job_id": job.id, "native_id": one} for one in ids])
