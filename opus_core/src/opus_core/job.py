"""A job, and the two state machines it is in: the phase clients see and the work a cluster is owed.

Everything here is a value: frozen, changed by `dataclasses.replace`, without I/O. Instants are
aware, in UTC and whole milliseconds, since that is what a job document shows (UWS 1.1 section
2.2.1; and a list filtered by `AFTER=t` must not show the job that says it was created at t).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class Phase(StrEnum):
    """What clients see (UWS 1.1 section 2.1.3)."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    ABORTED = "ABORTED"
    UNKNOWN = "UNKNOWN"
    HELD = "HELD"
    SUSPENDED = "SUSPENDED"
    ARCHIVED = "ARCHIVED"

    @property
    def over(self) -> bool:
        """Nothing can happen to the job any more, but for being archived."""
        return self in OVER

    @property
    def active(self) -> bool:
        """The job counts against its owner's quota of jobs at once."""
        return self in ACTIVE

    @property
    def waitable(self) -> bool:
        """A WAIT may block here; elsewhere it must return at once (UWS 1.1 section 2.2.1.2)."""
        return self in (Phase.PENDING, Phase.QUEUED, Phase.EXECUTING)


OVER: Final = frozenset({Phase.COMPLETED, Phase.ERROR, Phase.ABORTED, Phase.ARCHIVED})
ACTIVE: Final = frozenset(
    {Phase.QUEUED, Phase.EXECUTING, Phase.HELD, Phase.SUSPENDED, Phase.UNKNOWN}
)

_ENDS = frozenset({Phase.COMPLETED, Phase.ERROR, Phase.ABORTED})

TRANSITIONS: Final[Mapping[Phase, frozenset[Phase]]] = MappingProxyType(
    {
        # UWS 1.1 section 2.1.3, with what SLURM and its like do: a queued job may be held and
        # released, a held one may turn out to be suspended. OPUS never sets UNKNOWN.
        Phase.PENDING: frozenset({Phase.QUEUED, Phase.HELD, Phase.ABORTED, Phase.ERROR}),
        Phase.QUEUED: frozenset({Phase.EXECUTING, Phase.HELD, Phase.ABORTED, Phase.ERROR}),
        Phase.EXECUTING: _ENDS | {Phase.HELD, Phase.SUSPENDED},
        Phase.HELD: frozenset(
            {Phase.QUEUED, Phase.EXECUTING, Phase.SUSPENDED, Phase.ABORTED, Phase.ERROR}
        ),
        Phase.SUSPENDED: frozenset({Phase.EXECUTING, Phase.HELD, Phase.ABORTED, Phase.ERROR}),
        Phase.UNKNOWN: frozenset(set(Phase) - {Phase.UNKNOWN, Phase.PENDING}),
        Phase.COMPLETED: frozenset({Phase.ARCHIVED}),
        Phase.ERROR: frozenset({Phase.ARCHIVED}),
        Phase.ABORTED: frozenset({Phase.ARCHIVED}),
        Phase.ARCHIVED: frozenset(),
    }
)


class Work(StrEnum):
    """What the cluster is owed for a job; only the supervisor and RUN or ABORT move it."""

    NONE = "NONE"
    """Nothing was asked."""
    WANTED = "WANTED"
    """To be submitted."""
    STARTING = "STARTING"
    """`Manager.start` is being called, or its outcome is not known."""
    LIVE = "LIVE"
    """The cluster has it: at least one native id is known."""
    ENDED = "ENDED"
    """Nothing of it can run any more; something may be left to fetch or to free."""
    RELEASED = "RELEASED"
    """Results are in place or given up, and the cluster has forgotten it."""


class Mark(StrEnum):
    """A wish that the web leaves on a job for the supervisor; the first and the last are never
    withdrawn."""

    ABORT_REQUESTED = "abort_requested"
    RESUME_REQUESTED = "resume_requested"
    DOOMED = "doomed"
    """Deleted: unknown to every client from the commit that sets it."""


class Anyone(Enum):
    """The owner filter that lets every owner pass, anonymous ones (`None`) included."""

    ANYONE = "anyone"


ANYONE: Final = Anyone.ANYONE


class DefinitionRef(NamedTuple):
    """The job description a job was made from, pinned: its name and the number of its version."""

    name: str
    number: int


LONG_TEXT: Final = "text/plain; charset=utf-8"
"""The media type of a text that is kept as a file, because it is long. No file of a client's has
it: what they say of a type is kept without parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that came with a request, stored as `input/<sha256>` in the job's folder."""

    sha256: str
    size: int  # [byte]
    name: str = ""  # as the client called it; shown, never used as a path
    media_type: str = "application/octet-stream"

    @property
    def is_text(self) -> bool:
        """It came as a text, not as a file."""
        return self.media_type == LONG_TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One value of one parameter; a parameter that was given several values stands several times,
    in order (DALI 1.1 section 3.2)."""

    name: str
    value: str = ""
    upload: Upload | None = None
    """Set for a file, and for a text so long that it is kept as one: then `value` is empty (or the
    URL of the file) and a job document shows it by reference."""

    @property
    def is_long(self) -> bool:
        """A text that is kept as a file."""
        return self.upload is not None and self.upload.is_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A file in the job's `results/` folder."""

    id: str
    name: str  # the bare file name
    size: int  # [byte]
    media_type: str
    sha256: str


class ErrorType(StrEnum):
    """Whether trying again may help (UWS 1.1 section 2.2.2.5)."""

    TRANSIENT = "transient"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorSummary:
    """Why a job is in ERROR, or was ended by the system."""

    message: str
    type: ErrorType = ErrorType.FATAL
    has_detail: bool = False  # stderr has more to say


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """The Idempotency-Key of the request that made a job, and the SHA-256 of its body."""

    key: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the supervisor remembers of a job from one look to the next, restarts included.

    Nobody else reads it. Instants are the first at which a thing was seen; None: not seen.
    """

    attempts: int = 0  # submissions put off, or fetches failed, in a row
    resubmitted: datetime | None = None  # the last call of `start`; `submitted_at` is the first
    absent: datetime | None = None  # `find` said: definitely none
    over: datetime | None = None  # the scheduler said: over; but no exit is there
    gone: datetime | None = None  # the scheduler knows nothing of it any more
    sealed: datetime | None = None  # the seal was won
    aborted: datetime | None = None  # the last call of `abort`


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job, as stored under one version. See `docs/plugins` for what a storage keeps of it."""

    id: str
    definition: DefinitionRef
    owner: str | None = None  # None: anonymous
    quota_key: str = ""  # the owner, or the address of somebody anonymous
    run_id: str | None = None
    phase: Phase = Phase.PENDING
    work: Work = Work.NONE
    marks: frozenset[Mark] = frozenset()
    version: int = 0  # set by the storage alone
    created: datetime
    queued: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    destruction: datetime | None = None
    quote: datetime | None = None
    execution_duration: int = 0  # [s] of wall-clock time; 0: no limit
    parameters: tuple[Parameter, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)  # run options of the manager
    results: tuple[Result, ...] = ()
    error: ErrorSummary | None = None
    job_info: Mapping[str, str] = field(default_factory=dict)  # written by Storage.note alone
    manager: str = ""  # the `name` of the Manager that has or will have it
    tag: str | None = None
    native_ids: tuple[str, ...] = ()
    submitted_at: datetime | None = None  # the first call of `start`
    idempotency: Idempotency | None = None
    watch: Watch = Watch()

    @property
    def doomed(self) -> bool:
        """Deleted for every client; the supervisor is still clearing up."""
        return Mark.DOOMED in self.marks

    @property
    def abort_requested(self) -> bool:
        """Somebody wants it stopped."""
        return Mark.ABORT_REQUESTED in self.marks

    @property
    def needs_supervisor(self) -> bool:
        """There is something to drive: work under way, or a job to be removed."""
        return self.doomed or self.work not in (Work.NONE, Work.RELEASED)

    @property
    def bytes(self) -> int:
        """What the job keeps on disk for its owner: uploads, each once, and results [byte]."""
        uploads = {p.upload.sha256: p.upload.size for p in self.parameters if p.upload}
        return sum(uploads.values()) + sum(result.size for result in self.results)

    def summary(self) -> JobSummary:
        """The row of a list that shows this job."""
        return JobSummary(
            id=self.id,
            definition=self.definition,
            owner=self.owner,
            run_id=self.run_id,
            phase=self.phase,
            version=self.version,
            created=self.created,
            started=self.started,
            ended=self.ended,
            destruction=self.destruction,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """What a list shows of a job."""

    id: str
    definition: DefinitionRef
    owner: str | None
    run_id: str | None
    phase: Phase
    version: int
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    destruction: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry of the journal: a job was created, changed phase, or was deleted for clients."""

    seq: int
    job_id: str
    definition: DefinitionRef
    owner: str | None
    run_id: str | None
    old: Phase | None  # None: it was created
    new: Phase | None  # None: it was doomed
    time: datetime


def new_id() -> str:
    """32 hexadecimal digits, the first of them 0-9.

    128 bits keep ids apart and unguessable; a leading digit because the AIP uws-client strips
    leading letters of `https:/` from what it takes for a job id.
    """
    return secrets.choice("0123456789") + secrets.token_hex(16)[1:]


def now() -> datetime:
    """The present instant, in UTC, cut to milliseconds."""
    return cut(datetime.now(UTC))


def cut(instant: datetime) -> datetime:
    """The same instant in UTC and whole milliseconds, never later than it was."""
    utc = instant.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)
