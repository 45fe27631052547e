"""Where jobs are kept, and what else has to last."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from opus_core.backends.accounts import Accounts
from opus_core.backends.backend import Backend
from opus_core.backends.query import JobQuery
from opus_core.backends.submission import Live
from opus_core.errors import ConfigError
from opus_core.job import ANYONE, Anyone, Change, Job, JobSummary

SUPERVISOR: Final = "supervisor"
"""The name of the lease that the one acting supervisor holds; `save(epoch=)` is of this lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one quota key may have; None: any number."""

    active: int | None = None  # jobs in an active phase at once
    per_hour: int | None = None  # jobs created in the last hour, deleted ones included
    bytes: int | None = None  # of uploads and results, over all jobs not yet removed


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
