"""Jobs in every state of work, at instants counted in seconds from a noon in May."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from opus_core.backends import Cause, Kind, Status
from opus_core.job import (
    DefinitionRef,
    Job,
    Mark,
    Phase,
    Result,
    Watch,
    Work,
)
from opus_core.lifecycle import Policy
from opus_core.links import Exit

T0 = datetime(2026, 5, 1, 12, tzinfo=UTC)
SITE = Policy(grace=90.0)
STRICT = Policy(overuse_is_error=True)
LATER = T0 + timedelta(seconds=100)
TABLE = Result(id="table", name="t.csv", size=3, media_type="text/csv", sha256="0" * 64)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def a_job(**changes) -> Job:
    return Job(**({"id": "0" * 32, "definition": DefinitionRef("x", 1), "created": T0} | changes))


def wanted(**changes) -> Job:
    return a_job(
        **({"phase": Phase.QUEUED, "work": Work.WANTED, "queued": T0, "tag": "t"} | changes)
    )


def starting(**changes) -> Job:
    first = {"work": Work.STARTING, "submitted_at": at(1), "watch": Watch(resubmitted=at(1))}
    return wanted(**(first | changes))


def live(**changes) -> Job:
    return wanted(**({"work": Work.LIVE, "native_ids": ("7",), "submitted_at": at(1)} | changes))


def executing(**changes) -> Job:
    return live(**({"phase": Phase.EXECUTING, "started": at(10)} | changes))


def ended(**changes) -> Job:
    return executing(**({"work": Work.ENDED} | changes))


def over(phase: Phase = Phase.COMPLETED, **changes) -> Job:
    return executing(**({"phase": phase, "work": Work.RELEASED, "ended": at(50)} | changes))


def marked(job: Job, *marks: Mark) -> Job:
    return replace(job, marks=job.marks | set(marks))


def an_exit(code: int | None = 0, reason: str = "", signal: int | None = None, **changes) -> Exit:
    times = {"started": at(10), "ended": at(40)}
    return Exit(claimant="7", code=code, signal=signal, reason=reason, **(times | changes))


def said(cause: Cause, **changes) -> Status:
    return Status(kind=Kind.ENDED, cause=cause, **changes)


def message(job: Job) -> str:
    return job.error.message if job.error else ""


ABORT, DOOMED, RESUME = Mark.ABORT_REQUESTED, Mark.DOOMED, Mark.RESUME_REQUESTED
