"""Which jobs are listed: the question that a storage answers page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from opus_core.errors import BadRequest
from opus_core.job import ANYONE, Anyone, JobSummary, Phase


class Sort(StrEnum):
    """What a list is sorted by; within equals by (created, id), so that order is total."""

    CREATED = "created"
    PHASE = "phase"  # by the phase's name
    ENDED = "ended"  # those that have not ended come after all that have; reversed, before


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Which jobs a list shows, and in which order.

    Filters are a logical AND; `limit` cuts what they leave (UWS 1.1 section 2.2.2.1 with the
    working order of known servers). Doomed jobs are never listed.
    """

    definition: str | None = None  # the name of a description
    owner: str | Anyone | None = ANYONE  # None: anonymous jobs only
    phases: frozenset[Phase] = frozenset()  # none given: all but ARCHIVED
    after: datetime | None = None  # created strictly later
    before: datetime | None = None  # created strictly earlier
    last: int | None = None  # the n created last, newest first: overrides sort and reverse; a
    # cursor moves within these n
    text: str = ""  # beginning of a job id, or part of a run id; without regard to the case of
    # A to Z at least.
    # With an owner (None, anonymous, is one) and `after` or `before`, also part of a parameter's
    # value.
    sort: Sort = Sort.CREATED
    reverse: bool = False
    cursor: str = ""  # the list goes on behind the job that `cursor_at` was given
    limit: int | None = None

    def cursor_at(self, summary: JobSummary) -> str:
        """The cursor that continues this list behind `summary`."""
        key = {
            Sort.CREATED: "",
            Sort.PHASE: summary.phase.value,
            Sort.ENDED: summary.ended.isoformat() if summary.ended else "",
        }[self.sort]
        return f"{self.sort}~{key}~{summary.created.isoformat()}~{summary.id}"

    def position(self) -> Position | None:
        """Where the cursor points; None without one. `BadRequest` if it is not one of ours, or
        belongs to a list sorted otherwise."""
        if not self.cursor:
            return None
        try:
            sort, key, created, job_id = self.cursor.split("~")
            position = Position(
                phase=Phase(key) if sort == Sort.PHASE else None,
                ended=datetime.fromisoformat(key) if sort == Sort.ENDED and key else None,
                created=datetime.fromisoformat(created),
                id=job_id,
            )
            aware = position.created.tzinfo and (not position.ended or position.ended.tzinfo)
        except ValueError:
            aware, sort = None, ""
        if not aware or sort != self.sort:
            raise BadRequest(
                "CURSOR is not one that this list has given; begin again without CURSOR"
            )
        return position


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The sort key of the job behind which a list goes on."""

    phase: Phase | None
    ended: datetime | None
    created: datetime
    id: str
