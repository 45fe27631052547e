"""What a back end has to be: the four interfaces, and the values they trade.

Everything a plugin author must know stands in these docstrings; the contract tests in
`opus_core.testing` hold every promise against an implementation. Three rules for all of them:

- `__init__(options)` opens nothing, asks nobody and cannot fail; `check()` does and may.
- Every method may be called from several threads at once.
- A back end raises errors of `opus_core.errors` with one sentence for whoever has to act.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Any, ClassVar, Final

from opus_core import links
from opus_core.definition import JobDefinition, ParameterDescription
from opus_core.errors import BadRequest, ConfigError, NotAllowed
from opus_core.finding import Code, Finding
from opus_core.job import (
    ANYONE,
    Anyone,
    Change,
    DefinitionRef,
    Job,
    JobSummary,
    Phase,
    Work,
)
from opus_core.links import Exit, Links

__all__ = [
    "SUPERVISOR",
    "Account",
    "Accounts",
    "Backend",
    "Bundle",
    "Cause",
    "Event",
    "Exit",
    "Health",
    "HealthState",
    "Jdl",
    "JobQuery",
    "Kind",
    "Lease",
    "Limits",
    "Links",
    "Live",
    "Manager",
    "NoOptions",
    "Output",
    "Record",
    "Ref",
    "RequestView",
    "Session",
    "Sort",
    "Status",
    "Storage",
    "Task",
    "Token",
    "User",
]

SUPERVISOR: Final = "supervisor"
"""The name of the lease that the one acting supervisor holds; `save(epoch=)` is of this lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOptions:
    """The options of a back end that has none."""


class Backend(ABC):
    """A storage, a manager or a job description format, chosen by `use = "NAME"`."""

    name: ClassVar[str]
    """What `use` selects it by: lower case letters, digits and `_`."""

    about: ClassVar[str]
    """One sentence for an admin who is choosing."""

    Options: ClassVar[type[Any]] = NoOptions
    """A frozen dataclass, filled from the rest of the table that `use` stands in. Fields are of
    type str, int, float, bool, Path, a Literal of strings, or tuples and string-keyed mappings of
    str; a field without default is required; a comment for the admin is
    `field(metadata={"help": ...})`. Paths are absolute before they get here: one the admin wrote is
    taken from the folder of the configuration file, a relative default from `data_dir`."""

    codes: ClassVar[tuple[Code, ...]] = ()
    """What `findings` can find, for the list of all that `opus check` can."""

    def __init__(self, options: Any) -> None:  # noqa: ANN401  an instance of its own Options
        self.options = options

    def check(self) -> None:  # noqa: B027  a back end may have nothing to check
        """Raise `ConfigError` with a sentence for the admin if this cannot work here.

        Called at start and by `opus check`; it may ask the outside world for some seconds.
        """

    def warnings(self) -> Sequence[str]:
        """Sentences for the admin about what works here and should not stay so.

        They are logged at start, and `opus check` prints them: after `check`, and of an extension
        after `open`, too, but where the storage to open it with cannot be used.
        """
        return ()

    def findings(self) -> Iterable[Finding]:
        """What is wrong with the world that this works in, each found by one of `codes`.

        Called by `opus check` alone, after `warnings`; it may ask the outside world for some
        seconds, and changes nothing. What it raises is told as a failure of this plugin.
        """
        return ()

    def close(self) -> None:  # noqa: B027  or nothing to close
        """Give back what was opened; safe twice. Nothing else is called afterwards."""


# --- Storage ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one quota key may have; None: any number."""

    active: int | None = None  # jobs in an active phase at once
    per_hour: int | None = None  # jobs created in the last hour, deleted ones included
    bytes: int | None = None  # of uploads and results, over all jobs not yet removed


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """How a manager is told which submission is meant: by tag, and by native id where known. A tag
    is of letters, digits and `-`, at most 64 of them, and no other job has it.

    A native id alone is no identity (a scheduler's crash gives ids out twice): what answers under
    `native_id` but not under `tag` is not it.
    """

    tag: str
    native_id: str | None = None
    submitted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A submission that a cluster has, as one poll needs it."""

    id: str
    ref: Ref
    phase: Phase
    work: Work
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who may act under a name, and until when by the storage's clock.

    `epoch` grows by one each time the holder changes.
    """

    name: str
    holder: str
    epoch: int
    until: datetime


class HealthState(StrEnum):
    """How a component is."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a component is, in one sentence, since when, and when that was last said."""

    state: HealthState
    sentence: str
    since: datetime
    heartbeat: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One entry of a stream."""

    seq: int
    key: str | None
    time: datetime
    data: Mapping[str, Any]


class Storage(Backend):
    """Keeps jobs, the journal of their changes, and what little else must last.

    The one promise above all: `save` is a compare-and-set. Two writers of one version never both
    succeed, in one process, in several, or over several hosts. What a call has returned from is
    durable: it survives a power cut. Every value comes back as it was given, byte for byte, and is
    compared so: no text is trimmed, folded or normalised. (The core lets in no NUL and no half of
    a surrogate pair, which no encoding carries.) Instants are answered in UTC, those that a storage
    makes itself, of journal and records, in whole milliseconds.

    Errors everywhere: `Unavailable` if the store cannot be reached or is locked for too long,
    `StorageFull` if there is no space left; after either nothing has been changed.
    """

    @abstractmethod
    def prepare(self) -> None:
        """Create the schema, or bring it up to date; safe twice and from two processes.

        Raises `ConfigError` for a schema newer than this code knows.
        """

    def unprepared(self) -> str | None:
        """Why `prepare` would change something here, in a few words ("it has the schema 3, and this
        version needs 4"); empty if it would not, and then all else works without it.

        Called by `opus check`, after `check`; it changes nothing and makes nothing. None, as here:
        nobody has written this, and `opus check` calls `prepare` as a start does. Raises
        `Unavailable`, and `ConfigError` as `prepare` does.
        """
        return None

    def copy_into(self, other: Storage) -> Mapping[str, int]:
        """Copy all that is kept into a prepared storage with nothing in it: jobs with their
        versions, the journal with its numbers, all else; all of it or nothing. Answers how much of
        what. While it goes on nobody changes anything here.

        Raises `ConfigError` if it cannot, which is what it does unless a storage knows how.
        """
        raise ConfigError(f"nobody has written how {self.name} is copied into {other.name}")

    # -- jobs

    @abstractmethod
    def add(self, job: Job, *, limits: Limits | None = None) -> Job:
        """Store a new job; the answer has version 1 and is otherwise what was given.

        One transaction: the job, its journal entry (old None), its job_info, its count against
        the quota key's limits. A job that `needs_supervisor` is due now, another never.

        Raises, looked for in this order, `AlreadyAdded` if `job.idempotency` names a key that the
        same quota key has used in the last 24 hours, whether or not that job still exists;
        `JobExists` if the id is taken, by a doomed job too; `LimitReached` with the limit in the
        sentence. `limits.active` is counted only if this job is in an active phase. Doomed jobs
        count until they are removed.
        """

    @abstractmethod
    def read(self, job_id: str, *, doomed: bool = False) -> Job:
        """The job as last saved, its job_info as last noted.

        Raises `UnknownJob`; for a doomed job too, unless `doomed` asks for those as well.
        """

    @abstractmethod
    def summary(self, job_id: str) -> JobSummary:
        """What a list shows of the job, for the price of one row. Raises `UnknownJob`, for a
        doomed job too."""

    @abstractmethod
    def save(
        self,
        job: Job,
        *,
        expected: int,
        limits: Limits | None = None,
        epoch: int | None = None,
        due: float | None = 0.0,
    ) -> Job:
        """Replace the stored job if its version is `expected`; the one way to change a job.

        The answer has version `expected + 1`. All of the job is stored but `job_info`, which
        `note` alone writes, and `id`, `created`, `idempotency`, which never change. A change of
        phase writes a journal entry, and so does the mark DOOMED (new None), in that order and
        in the same transaction. `limits.active` and `.bytes` are counted as `add` does, this job
        itself left out; `.per_hour` is of creations alone.

        `due`: seconds from now, by the storage's clock, after which `todo` lists the job; None:
        not until it is poked or saved again. A job that does not need the supervisor is never due.

        Raises `Conflict` if the version is another, or if `epoch` is given and the lease
        `SUPERVISOR` has a newer one; `UnknownJob` if it is not stored; `LimitReached`.
        """

    @abstractmethod
    def note(self, job_id: str, info: Mapping[str, str]) -> None:
        """Merge `info` into the job's job_info; an empty value removes its key.

        Outside the version and the journal, since it changes often; nothing happens for a job
        that is not stored.
        """

    @abstractmethod
    def poke(self, what: str, *, job_id: str | None = None, native_id: str | None = None) -> int:
        """Ask the supervisor to look at a job soon: `begin`, `event`, `output` or `info`.

        By id, or by a native id of a job whose work is LIVE. Outside the version; several pokes
        of one kind are one. Answers how many jobs were found.
        """

    @abstractmethod
    def take_pokes(self, job_id: str) -> frozenset[str]:
        """What was poked since the last call, and forget it, in one step."""

    @abstractmethod
    def delete(self, job_id: str, *, expected: int) -> None:
        """Remove the job's row, notes and pokes; by the supervisor alone, last of all.

        The journal and the hour's count of creations keep it. Nothing happens if it is gone
        already; `Conflict` if its version is not `expected`.
        """

    @abstractmethod
    def get_list(self, query: JobQuery) -> Iterator[JobSummary]:
        """The jobs of a query, in its order, each once.

        Read in pages of at most 1,000, by key and never by offset, with no connection or
        transaction held between pages: a slow reader stops nobody, and a job that is listed when
        reading begins and changed by nobody is listed once. `BadRequest` for a wrong cursor
        comes at the call, not at the first row.
        """

    # -- for the supervisor

    @abstractmethod
    def todo(self, limit: int, exclude: Collection[str] = ()) -> list[Job]:
        """Jobs that are due by the storage's clock or poked, oldest due first; doomed included.

        Listing a job takes nothing away: it stays due until it is saved, and poked until
        `take_pokes`. It has to be asked now and then: pokes, and saves that only set a mark,
        write no journal entry that would tell of them. Of very large jobs it may list fewer than
        there are, but one at least.
        """

    @abstractmethod
    def live(self) -> Iterator[Live]:
        """Every submission whose job's work is LIVE, doomed included: one for each native id, of
        which such a job always has one."""

    @abstractmethod
    def expired(self, limit: int) -> list[tuple[str, int]]:
        """(id, version) of jobs past their destruction by the storage's clock, longest first,
        that are neither doomed nor ARCHIVED."""

    @abstractmethod
    def lease(self, name: str, holder: str, seconds: float) -> Lease:
        """Take the lease if it is free, lapsed or `holder`'s own, then for `seconds` from now.

        Answers the standing lease, whoever's it is: it is mine if its holder is me. The epoch
        grows when the holder changes, stays when the same holder comes back after a lapse, and
        never falls, released or not.
        """

    @abstractmethod
    def release(self, name: str, holder: str) -> None:
        """Give the lease up if `holder` has it; the epoch stays."""

    # -- the journal

    @abstractmethod
    def changes(
        self, after: int, *, owner: str | Anyone | None = ANYONE, limit: int = 1000
    ) -> tuple[int, list[Change]]:
        """Journal entries with `seq > after`, oldest first, and the number to ask after next.

        In commit order: an entry never appears behind a number that was answered. With an owner
        only that owner's jobs; the number still moves past the others'. `after < 0` lists
        nothing and answers the newest number, and so does an `after` beyond that (a storage
        restored from a back-up).

        Entries are kept for 30 days at least. Raises `Gap` if entries behind `after` have been
        removed.
        """

    def wait_change(self, after: int, seconds: float) -> bool:
        """Block until the journal holds an entry behind `after`, or for `seconds`.

        Answers whether there is one. This one asks every 200 ms; override it where the store can
        tell by itself.
        """
        deadline = time.monotonic() + seconds
        while True:
            if self.changes(after, limit=1)[0] > after:
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(0.2, left))

    # -- all else that must last

    @abstractmethod
    def set_health(self, component: str, health: Health) -> None:
        """Remember how a component is; the last word counts."""

    @abstractmethod
    def health(self) -> dict[str, Health]:
        """How every component was last said to be."""

    @abstractmethod
    def accounts(self) -> Accounts | None:
        """Where users are kept; None if this storage keeps none."""

    @abstractmethod
    def append(self, stream: str, record: Mapping[str, Any], key: str | None = None) -> int:
        """Add a record (JSON values) to a stream; answers its number, larger than all before.

        With a key it replaces the record of that key in the stream.
        """

    @abstractmethod
    def records(self, stream: str, after: int = 0, limit: int = 1000) -> list[Record]:
        """Records with `seq > after`, oldest first."""

    @abstractmethod
    def trim(self, stream: str, upto: int) -> None:
        """Forget records with `seq <= upto`; whatever is appended later is kept."""


# --- Accounts --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user as stored."""

    name: str
    roles: frozenset[str] = frozenset()
    active: bool = True
    password: str | None = None  # a hash with its own parameters; None: no password
    full_name: str = ""
    email: str = ""
    created: datetime
    version: int = 0  # set by the storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as stored: never itself, only its SHA-256."""

    prefix: str  # public, unique
    user: str
    hash: str
    name: str = ""
    scopes: frozenset[str] = frozenset()
    created: datetime
    expires: datetime | None = None
    last_used: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser session as stored; `hash` is the SHA-256 of the cookie."""

    hash: str
    user: str
    created: datetime
    last_seen: datetime
    data: Mapping[str, str] = field(default_factory=dict)


class Accounts(ABC):
    """Users, their tokens and sessions. Same rules and errors as `Storage`."""

    @abstractmethod
    def add_user(self, account: Account) -> Account:
        """Store a new account under version 1. Raises `AlreadyExists`."""

    @abstractmethod
    def read_user(self, name: str) -> Account:
        """Raises `UnknownUser`. Names are case-sensitive."""

    @abstractmethod
    def save_user(self, account: Account, *, expected: int) -> Account:
        """Compare-and-set, as `Storage.save`. Raises `Conflict`, `UnknownUser`."""

    @abstractmethod
    def delete_user(self, name: str) -> None:
        """Remove the account with its tokens and sessions; nothing happens if it is gone."""

    @abstractmethod
    def get_users(self, after: str = "", limit: int = 1000) -> list[Account]:
        """Accounts with a name behind `after`, by name (code points)."""

    @abstractmethod
    def add_token(self, token: Token) -> None:
        """Raises `AlreadyExists` for a prefix that is taken, `UnknownUser`."""

    @abstractmethod
    def read_token(self, prefix: str) -> Token:
        """Raises `UnknownToken`. An expired token is answered like any other."""

    @abstractmethod
    def get_tokens(self, user: str) -> list[Token]:
        """The user's tokens, oldest first."""

    @abstractmethod
    def use_token(self, prefix: str, instant: datetime) -> None:
        """Set `last_used` if `instant` is later; nothing happens if it is gone."""

    @abstractmethod
    def delete_token(self, prefix: str) -> bool:
        """Revoke it; answers whether it was there: of several at once, one is told so."""

    @abstractmethod
    def add_session(self, session: Session) -> None:
        """Raises `AlreadyExists`, `UnknownUser`."""

    @abstractmethod
    def read_session(self, session_hash: str) -> Session:
        """Raises `UnknownSession`."""

    @abstractmethod
    def use_session(self, session_hash: str, instant: datetime, data: Mapping[str, str]) -> None:
        """Replace `last_seen` and `data`; nothing happens if it is gone."""

    @abstractmethod
    def delete_session(self, session_hash: str) -> None:
        """Sign out; nothing happens if it is gone."""

    @abstractmethod
    def delete_sessions(self, user: str) -> None:
        """Sign out everywhere."""

    @abstractmethod
    def sweep(self, *, expired_before: datetime, idle_before: datetime) -> None:
        """Remove tokens that expired, and sessions last seen, before these instants."""


# --- Manager ---------------------------------------------------------------------------------


class Kind(StrEnum):
    """What a scheduler says of a submission, in the words of the core."""

    QUEUED = "queued"
    HELD = "held"  # waits until somebody releases it
    RUNNING = "running"
    SUSPENDED = "suspended"  # goes on by itself
    ENDED = "ended"
    GONE = "gone"  # the scheduler was asked and knows nothing of it
    UNRECOGNISED = "unrecognised"  # it said something this plugin has no word for


class Cause(StrEnum):
    """Why a submission has ended, as far as the scheduler can know."""

    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIME_LIMIT = "time_limit"
    MEMORY = "memory"
    NODE = "node"
    PREEMPTED = "preempted"
    DEADLINE = "deadline"
    LAUNCH = "launch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A scheduler's answer about one submission. It reports; `opus_core.lifecycle` decides."""

    kind: Kind
    cause: Cause | None = None  # with ENDED, and only then
    reason: str = ""  # why it waits or ended, in the scheduler's words
    native_state: str = ""  # the state itself, as the scheduler spells it
    exit_code: int | None = None
    signal: int | None = None
    submitted: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    restarts: int = 0

    def __post_init__(self) -> None:
        if (self.cause is not None) != (self.kind is Kind.ENDED):
            raise ValueError(f"a status of kind {self.kind.value} with cause {self.cause}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A file the script may write into its working directory, which becomes a result."""

    name: str  # the result's id
    file: str  # bare file name
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Where the wrapper reports start and exit, and the token that lets it."""

    url: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """All a manager needs of a job. `folder` holds it on the supervisor's side."""

    job_id: str
    ref: Ref
    folder: Path
    definition: JobDefinition
    definition_ref: DefinitionRef
    owner: str | None
    execution_duration: int  # [s], 0: no limit; enforced by the wrapper, told to the scheduler
    options: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()
    event: Event | None = None
    native_ids: tuple[str, ...] = ()  # all that are known under the tag


class Manager(Backend):
    """Hands jobs to a scheduler and reports what became of them. It never decides.

    It knows no HTTP, no UWS and no storage, and keeps nothing that a second instance in another
    process would miss, except under a folder it is given by its options. Only the supervisor
    calls it. What is submitted is the wrapper, `run` in the task's folder, by `bash run` with
    `OPUS_CLAIMANT` in its environment; the wrapper sees to it that the script runs once, so
    that submitting twice is harmless and losing an answer is, too.

    Four answers never stand in for each other: a state, GONE (asked, and it knows nothing),
    UNRECOGNISED (it said something else) and `BackendUnavailable` (it could not be asked).
    """

    parallel: int = 4
    """How many calls it bears at once. This and the next two may depend on the options: then
    `__init__` sets them."""

    visible_after: float = 0.0
    """Seconds a submission may take to be found by `find` after `start` was called [s]."""

    poll_interval: float = 30.0
    """How often `get_status` is worth asking where the configuration does not say [s]."""

    far: ClassVar[bool] = False
    """Whether scripts run on other machines than this: `opus check` then looks for no interpreter
    here, and for an address at which they reach the server."""

    can_resume: ClassVar[bool] = False
    """Whether `resume` can release what the scheduler holds."""

    @abstractmethod
    def start(self, task: Task) -> str:
        """Submit under `task.ref.tag`, kept in the scheduler's own record; answers a native id
        that outlives this process.

        Raises `SubmitRejected`: it will never run. `SubmitDeferred`: it was definitely not
        submitted, try later. `BackendUnavailable`: nothing is known of the outcome.
        """

    @abstractmethod
    def find(self, tags: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The native ids under each of the tags, oldest first; `()` only if there are definitely
        none (what was submitted within `visible_after` may still be missing).

        Raises `BackendUnavailable` if it cannot be told.
        """

    @abstractmethod
    def get_status(self, refs: Sequence[Ref]) -> dict[Ref, Status]:
        """One question for all; every ref is answered. A native id that answers under another
        tag is GONE. Raises `BackendUnavailable` if it could not ask; with `answers` for those refs
        that it can tell of all the same."""

    @abstractmethod
    def abort(self, ref: Ref) -> None:
        """Stop the submission and all it has started; by tag where there is no id.

        Idempotent, and no error for what is over or unknown. May return before it is dead.
        Raises `BackendUnavailable`.
        """

    def peek(self, tasks: Sequence[Task]) -> dict[str, Links]:
        """The links of each task's folder, by tag; never writes. Raises `BackendUnavailable`.

        This one looks into the folder itself; override it where that lies elsewhere.
        """
        return {task.ref.tag: links.peek(task.folder) for task in tasks}

    def seal(self, task: Task) -> Links:
        """Let nothing of the task begin any more, if it has not; the answer tells who won.

        Raises `BackendUnavailable`. This one works in the folder itself.
        """
        return links.seal(task.folder)

    def native_id(self, claimant: str) -> str:
        """The native id of the submission that made this claim; here the claimant itself.

        The wrapper's claimant need not be the native id, but must tell it.
        """
        return claimant

    def resume(self, ref: Ref) -> None:
        """Release what the scheduler holds; only called where `can_resume`.

        Raises `NotAllowed` if somebody else has to, `BackendUnavailable`.
        """
        raise NotAllowed(f"the {self.name} manager cannot release held jobs")

    def get_info(self, ref: Ref) -> dict[str, str]:
        """All the scheduler tells of it, for the curious; nothing of what is unknown.

        Raises `BackendUnavailable`.
        """
        return {}

    def get_output(self, tasks: Sequence[Task]) -> None:
        """Bring what is new of stdout, stderr and progress of each into its folder, while somebody
        reads there; in one go for all.

        This one has nothing to do. Raises `BackendUnavailable`.
        """

    def get_results(self, task: Task) -> None:
        """Bring results, stdout, stderr and exit into the folder; resumes where it was cut off.

        This one has nothing to do. Raises `BackendUnavailable`, or `ResultsLost` if trying again
        cannot help.
        """

    def delete(self, task: Task) -> None:
        """Forget the task and remove what lies of it on the cluster, never in `task.folder`.

        Idempotent; only called when nothing of it can run any more. Raises `BackendUnavailable`.
        """

    def disown(self) -> None:
        """Forget all submissions that are known here, and touch none of them: all of this was
        copied from another installation, which goes on with them.

        Called by `opus init --new-instance`, while no supervisor acts; a `folder` of the options is
        within the copied data folder then, or empty. This one has nothing to do: a scheduler's own
        records are not copied. Raises `BackendUnavailable`.
        """

    def moved(self, tasks: Sequence[Task]) -> None:
        """The installation was moved to another place: the folders of all that was submitted and
        may not be over are where these say. Called by `opus init --adopt`, while no supervisor
        acts.

        This one has nothing to do; override it where folders are remembered. Raises
        `BackendUnavailable`.
        """

    @classmethod
    def run_options(cls, options: Any) -> tuple[ParameterDescription, ...]:  # noqa: ANN401
        """What a user may set for a run (memory, partition, ...), within the admin's limits.

        `options` is an instance of `Options`. No I/O: forms are made from it. What a user says
        arrives in `task.options`, checked, as text; nothing arrives of what was not said.
        """
        return ()

    def cp_script(self, definition: JobDefinition) -> None:
        """Send a published script ahead of time; this one need not."""


# --- Jdl -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A description in a format: the document, and files that go beside it (`script`), by their
    bare names."""

    data: bytes
    files: Mapping[str, bytes] = field(default_factory=dict)


class Jdl(Backend):
    """A format of job descriptions. The law: what `dumps` accepts without `lossy` comes back
    equal from `loads`; and what `loads` has read, `dumps` can write again. One description gives
    the same bytes each time. Never resolves an entity, never fetches, bounds what it reads."""

    suffix: ClassVar[str]
    """How its files end, with the dot."""

    media_type: ClassVar[str]
    """What its documents are served as, without parameters."""

    @abstractmethod
    def recognises(self, head: bytes) -> bool:
        """Whether a document that begins so (4 KiB or all of it) is of this format."""

    @abstractmethod
    def loads(self, data: bytes, files: Mapping[str, bytes] = {}) -> JobDefinition:
        """Read a document and the files beside it, any of which may be missing. Raises `JdlError`
        with the line."""

    @abstractmethod
    def dumps(self, definition: JobDefinition, *, lossy: bool = False) -> Bundle:
        """Write a document. Raises `CannotCarry` for fields that the format has no word for,
        unless `lossy` leaves them out. Each begins with the name of a field of
        `JobDefinition`, as `parameters['x'].unit`, and they are all that `lossy` leaves out."""


# --- who is asking ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who is asking."""

    name: str | None  # None: anonymous
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] | None = None  # what a token was given of them; None: everything
    address: str = ""

    @property
    def anonymous(self) -> bool:
        """Nobody known."""
        return self.name is None

    @property
    def quota_key(self) -> str:
        """What quotas are counted by: the name, or the address of somebody anonymous; of IPv6 its
        network, for whoever has one address there has all 2**64 (RFC 6177)."""
        if self.name is not None:
            return f"user:{self.name}"
        address = self.address
        with suppress(ValueError):
            if ":" in address:
                address = str(ip_network(f"{address.partition('%')[0]}/64", strict=False))
        return f"address:{address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    """What an authentication plugin sees of a request."""

    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    remote_addr: str
    remote_user: str | None
