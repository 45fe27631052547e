"""What was handed to a scheduler: how it is named, what it is made of, and how it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from opus_core.definition import JobDefinition
from opus_core.job import DefinitionRef, Phase, Work


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
