"""A job becomes a row and comes back, whatever fields a job will have."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from datetime import UTC, datetime, timedelta, timezone

from opus_core.job import (
    DefinitionRef,
    ErrorSummary,
    ErrorType,
    Idempotency,
    Job,
    Mark,
    Parameter,
    Phase,
    Result,
    Upload,
    Watch,
    Work,
    new_id,
)
from opus_core.testing.samples import LONG_AGO, a_job
from opus_storage_sqlite.document import columns
from opus_storage_sqlite.tables import jobs

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UPLOAD = Upload(sha256="0" * 64, size=3, name="a b.csv", media_type="text/csv")
FULL = Job(
    id=new_id(),
    definition=DefinitionRef("periodogram", 3),
    owner="ann",
    quota_key="user:ann",
    run_id="mine",
    phase=Phase.ERROR,
    work=Work.LIVE,
    marks=frozenset({Mark.ABORT_REQUESTED, Mark.RESUME_REQUESTED}),
    version=1,
    created=LONG_AGO,
    queued=LONG_AGO + timedelta(seconds=1),
    started=LONG_AGO + timedelta(seconds=2),
    ended=LONG_AGO + timedelta(seconds=3),
    destruction=LONG_AGO + timedelta(days=4),
    quote=LONG_AGO + timedelta(seconds=5),
    execution_duration=6,
    parameters=(Parameter(name="x", value="1"), Parameter(name="y", upload=UPLOAD)),
    options={"memory": "1 GB"},
    results=(Result(id="r", name="r.csv", size=4, media_type="text/csv", sha256="1" * 64),),
    error=ErrorSummary(message="no", type=ErrorType.TRANSIENT, has_detail=True),
    job_info={"node": "n1"},
    manager="local",
    tag="opus-x",
    native_ids=("8", "7"),
    submitted_at=LONG_AGO + timedelta(seconds=7),
    idempotency=Idempotency(key="k", body="2" * 64),
    watch=Watch(
        attempts=2,
        resubmitted=LONG_AGO + timedelta(seconds=8),
        absent=LONG_AGO + timedelta(seconds=9),
        over=LONG_AGO + timedelta(seconds=10),
        gone=LONG_AGO + timedelta(seconds=11),
        sealed=LONG_AGO + timedelta(seconds=12),
        aborted=LONG_AGO + timedelta(seconds=13),
    ),
)


def _left_at_default(value):
    return [
        field.name
        for field in fields(value)
        if field.default is not MISSING and getattr(value, field.name) == field.default
    ]


def test_every_field_that_a_job_may_have_is_kept(storage):
    for value in (FULL, FULL.watch, FULL.error, UPLOAD):
        assert _left_at_default(value) == [], f"give {type(value).__name__} a value to keep here"
    assert storage.add(FULL) == FULL
    assert storage.read(FULL.id) == FULL


def test_an_instant_at_the_epoch_is_not_none(storage):
    at_the_epoch = {field.name: EPOCH for field in fields(Watch) if field.name != "attempts"}
    job = replace(
        FULL,
        **dict.fromkeys(("created", "queued", "started", "ended", "destruction"), EPOCH),
        **dict.fromkeys(("quote", "submitted_at"), EPOCH),
        watch=Watch(**at_the_epoch),
    )
    storage.add(job)
    assert storage.read(job.id) == job


def test_instants_keep_their_microseconds_and_the_ends_of_the_calendar(storage):
    first = datetime(1, 1, 1, tzinfo=UTC)
    last = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    job = storage.add(replace(FULL, created=first, destruction=last, quote=last))
    assert storage.read(job.id) == job


def test_an_instant_of_another_zone_comes_back_in_utc(storage):
    paris = LONG_AGO.astimezone(timezone(timedelta(hours=2)))
    job = storage.add(a_job(created=paris))
    assert storage.read(job.id).created == paris
    assert storage.read(job.id).created.tzinfo is UTC


def test_every_column_is_written():
    by_hand = {"id", "version", "created", "due", "job_info"}
    by_hand |= {"idempotency_key", "idempotency_body"}
    assert set(columns(FULL)) | by_hand == {column.name for column in jobs.columns}
