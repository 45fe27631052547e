"""What one quota key has used up: counted where it changes, so that a check costs one row.

`usage` is kept by the same transactions that change jobs. Its row is written before it is looked
at, which also makes two writers of one key wait for each other where a database lets several in.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select

from opus_core.backends import Limits
from opus_core.errors import AlreadyAdded, LimitReached
from opus_core.job import Job
from opus_storage_sqlite.clock import DAY, HOUR, clock
from opus_storage_sqlite.statements import Prepared, upsert
from opus_storage_sqlite.tables import idempotency, journal, usage

_SWEEP: Final = 20  # old keys removed at once: more than the one that comes in

_COUNT: Final = upsert(
    usage,
    usage.c.active,
    usage.c.bytes,
    update=lambda new: {
        "active": usage.c.active + new.active,
        "bytes": usage.c.bytes + new.bytes,
    },
)

_FORGET: Final = Prepared(delete(usage).where(usage.c.quota_key == bindparam("quota_key")))

_CREATED_THIS_HOUR: Final = select(func.count()).select_from(
    select(journal.c.seq)
    .where(
        journal.c.quota_key == bindparam("quota_key"),
        journal.c.quota_key.is_not(None),
        journal.c.time > clock() - HOUR,
    )
    .limit(bindparam("enough"))
    .subquery()
)

_REMEMBER: Final = upsert(
    idempotency,
    update=lambda new: {word: new[word] for word in ("body", "job_id", "time")},
    time=clock(),
)
_SEEN: Final = select(idempotency.c.job_id, idempotency.c.body).where(
    idempotency.c.quota_key == bindparam("quota_key"),
    idempotency.c.key == bindparam("key"),
    idempotency.c.time > clock() - DAY,
)
_FORGOTTEN: Final = (
    select(idempotency.c.quota_key, idempotency.c.key)
    .where(idempotency.c.time <= clock() - DAY)
    .order_by(idempotency.c.time)
    .limit(_SWEEP)
)


def count(
    connection: Connection,
    quota_key: str,
    *,
    active: int,
    size: int,
    limits: Limits | None = None,
    checks_active: bool = False,
) -> None:
    """Add to what the key uses, and raise `LimitReached` if that is more than it may.

    `active` [jobs] and `size` [byte] are differences.
    """
    limits = limits or Limits()
    checks_active = checks_active and limits.active is not None
    if not (active or size or checks_active or limits.bytes is not None):
        return
    key = {"quota_key": quota_key}
    jobs_now, bytes_now = _COUNT.one(connection, key | {"active": active, "bytes": size})
    if jobs_now == bytes_now == 0:
        _FORGET.change(connection, key)  # or every address that ever asked would stay here
    if checks_active and limits.active is not None and jobs_now > limits.active:
        raise LimitReached(
            f"{limits.active} jobs may be queued or running at once, and there are as many;"
            " wait for one to end, or abort one"
        )
    if limits.bytes is not None and bytes_now > limits.bytes:
        raise LimitReached(
            f"uploads and results may take {limits.bytes} bytes, and this would make them"
            f" {bytes_now}; delete a job that is no longer needed"
        )


def check_hour(connection: Connection, quota_key: str, limits: Limits) -> None:
    """Raise `LimitReached` if the key has made its jobs of the hour, deleted ones included."""
    if limits.per_hour is None:
        return
    made = connection.execute(
        _CREATED_THIS_HOUR, {"quota_key": quota_key, "enough": limits.per_hour}
    ).scalar_one()
    if made >= limits.per_hour:
        raise LimitReached(
            f"{limits.per_hour} jobs may be created within an hour, and there were as many;"
            " try again later",
        )


def remember_key(connection: Connection, job: Job) -> None:
    """Raise `AlreadyAdded` if the job's Idempotency-Key was used within 24 hours, else keep it."""
    if job.idempotency is None:
        return
    key = {"quota_key": job.quota_key, "key": job.idempotency.key}
    seen = connection.execute(_SEEN, key).one_or_none()
    if seen is not None:
        raise AlreadyAdded(seen.job_id, same_body=seen.body == job.idempotency.body)
    for old in connection.execute(_FORGOTTEN).all():
        connection.execute(
            delete(idempotency).where(
                idempotency.c.quota_key == old.quota_key, idempotency.c.key == old.key
            )
        )
    _REMEMBER.change(connection, key | {"body": job.idempotency.body, "job_id": job.id})
