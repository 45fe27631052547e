"""Values as plain text: what atoms of the job tree answer, and what other documents are made of."""

from __future__ import annotations

from datetime import UTC, datetime

from opus_core.job import Job


def instant(value: datetime | None) -> str:
    """ISO 8601 in UTC with milliseconds and a Z (UWS 1.1 section 2.2.1); empty for none."""
    if value is None:
        return ""
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def error(job: Job, tail: str = "") -> str:
    """Why a job failed, and the end of what it wrote to stderr."""
    if job.error is None:
        return ""
    text = job.error.message + "\n"
    return f"{text}\nThe end of its standard error:\n\n{tail}" if tail else text
