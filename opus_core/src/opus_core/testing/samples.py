"""Ordinary values that the contract tests begin from: change what a test is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from opus_core.backends import Account, Session, Storage, Token
from opus_core.job import (
    DefinitionRef,
    Job,
    Mark,
    Parameter,
    Phase,
    Result,
    Upload,
    Work,
    new_id,
    now,
)

LONG_AGO: Final = datetime(2020, 5, 17, 12, 30, 0, 250_000, tzinfo=UTC)
DOOMED: Final = frozenset({Mark.DOOMED})


def a_job(**changes: Any) -> Job:  # noqa: ANN401  any field of a job
    """A PENDING job of ann's, created now."""
    values: dict[str, Any] = {
        "id": new_id(),
        "definition": DefinitionRef("periodogram", 1),
        "owner": "ann",
        "quota_key": "user:ann",
        "created": now(),
    }
    return Job(**(values | changes))


def a_running_job(**changes: Any) -> Job:  # noqa: ANN401
    """An EXECUTING job that a cluster has."""
    job_id = new_id()
    values: dict[str, Any] = {
        "id": job_id,
        "phase": Phase.EXECUTING,
        "work": Work.LIVE,
        "tag": f"opus-kit-{job_id}",
        "native_ids": (f"native-{job_id}",),
        "submitted_at": LONG_AGO,
    }
    return a_job(**(values | changes))


def a_job_of_bytes(upload: int, result: int = 0, **changes: Any) -> Job:  # noqa: ANN401
    """A job with an upload and a result of these sizes [byte]."""
    digest = f"{upload:064x}"
    return a_job(
        parameters=(Parameter(name="x", upload=Upload(sha256=digest, size=upload)),),
        results=(Result(id="y", name="y.csv", size=result, media_type="text/csv", sha256=digest),),
        **changes,
    )


def jobs_at(storage: Storage, *minutes: float, **changes: Any) -> list[Job]:  # noqa: ANN401
    """Add jobs created so many minutes after `LONG_AGO`."""
    return [
        storage.add(a_job(created=LONG_AGO + timedelta(minutes=one), **changes)) for one in minutes
    ]


def an_account(name: str = "ann", **changes: Any) -> Account:  # noqa: ANN401
    """An account with a role."""
    values: dict[str, Any] = {"roles": frozenset({"user"}), "created": LONG_AGO}
    return Account(name=name, **(values | changes))


def a_token(prefix: str = "opus_1", **changes: Any) -> Token:  # noqa: ANN401
    """A token of ann's that does not expire."""
    values: dict[str, Any] = {"user": "ann", "hash": "0" * 64, "created": LONG_AGO}
    return Token(prefix=prefix, **(values | changes))


def a_session(session_hash: str = "1" * 64, **changes: Any) -> Session:  # noqa: ANN401
    """A session of ann's."""
    values: dict[str, Any] = {"user": "ann", "created": LONG_AGO, "last_seen": LONG_AGO}
    return Session(hash=session_hash, **(values | changes))
