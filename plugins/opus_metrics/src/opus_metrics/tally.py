"""What is counted: a pure function of where counting began and of the journal since.

So every process that reads the same journal has the same numbers, and none of them is lost with a
process. Times are whole milliseconds: sums of them are exact, in whichever order they were added.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from opus_core.job import Change, Phase

BOUNDS: Final = (1, 5, 15, 60, 300, 900, 3600, 14_400, 43_200, 86_400, 259_200, 604_800)
"""Upper bounds of a histogram's buckets [s], up to a week. A record holds counts for these: other
bounds need another stream."""

SHOWN: Final = tuple(phase for phase in Phase if phase is not Phase.ARCHIVED)
"""The phases of jobs that still are something to a user."""

_LIMITS: Final = tuple(1000 * bound for bound in BOUNDS)  # [ms]
_BEFORE: Final = (None, Phase.PENDING)


@dataclass(slots=True)
class Durations:
    """How many jobs took how long."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    """Within each bound and beyond the one before; the last: beyond all."""
    total: int = 0  # [ms]

    def add(self, duration: int) -> None:
        """One more [ms]; a clock that was set back makes it 0."""
        duration = max(duration, 0)
        self.counts[bisect_left(_LIMITS, duration)] += 1
        self.total += duration


@dataclass(slots=True)
class Numbers:
    """Those of the jobs of one description."""

    jobs: dict[str, int] = field(default_factory=dict)  # there are now, by phase
    reached: dict[str, int] = field(default_factory=dict)  # came into it since counting began
    created: int = 0
    deleted: int = 0
    waits: Durations = field(default_factory=Durations)
    runs: Durations = field(default_factory=Durations)


@dataclass(slots=True)
class Tally:
    """The numbers at one place of the journal."""

    seq: int
    """Of the last entry that is counted."""
    definitions: dict[str, Numbers] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    """Since when jobs wait [ms since 1970], by id; only of those whose beginning was seen."""
    running: dict[str, int] = field(default_factory=dict)

    @classmethod
    def at(cls, seq: int, jobs: Iterable[tuple[str, Phase]]) -> Tally:
        """Counting begins with these jobs, each by its description and phase."""
        tally = cls(seq)
        for definition, phase in jobs:
            tally._count(tally._of(definition), phase, 1)
        return tally

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Tally:
        """The tally that `record` made this of."""
        return cls(
            seq=record["seq"],
            definitions={name: _numbers(one) for name, one in record["definitions"].items()},
            waiting=dict(record["waiting"]),
            running=dict(record["running"]),
        )

    def record(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)

    def add(self, change: Change) -> None:
        """Count the next entry of the journal."""
        numbers = self._of(change.definition.name)
        self._count(numbers, change.old, -1)
        self._count(numbers, change.new, 1)
        if change.new is None:
            numbers.deleted += 1
        else:
            _grow(numbers.reached, change.new, 1)
        if change.old is None:
            numbers.created += 1
        self._time(numbers, change)
        self.seq = change.seq

    def _time(self, numbers: Numbers, change: Change) -> None:
        """A wait is from RUN to the first EXECUTING, a run from there to the end of the job, held
        and suspended times included. What is deleted before has no end."""
        job, old, new = change.job_id, change.old, change.new
        instant = round(change.time.timestamp() * 1000)
        if old in _BEFORE and new is not None and new.active:
            self.waiting[job] = instant
        if new is Phase.EXECUTING:
            if (since := self.waiting.pop(job, None)) is not None:
                numbers.waits.add(instant - since)
                self.running[job] = instant
        elif new is None or new.over:
            self.waiting.pop(job, None)
            since = self.running.pop(job, None)
            if since is not None and new is not None:
                numbers.runs.add(instant - since)

    def _of(self, definition: str) -> Numbers:
        return self.definitions.setdefault(definition, Numbers())

    def _count(self, numbers: Numbers, phase: Phase | None, number: int) -> None:
        if phase is not None and phase is not Phase.ARCHIVED:
            _grow(numbers.jobs, phase, number)


def _grow(counts: dict[str, int], phase: Phase, number: int) -> None:
    counts[phase.value] = counts.get(phase.value, 0) + number


def _numbers(record: Mapping[str, Any]) -> Numbers:
    return Numbers(
        jobs=dict(record["jobs"]),
        reached=dict(record["reached"]),
        created=record["created"],
        deleted=record["deleted"],
        waits=_durations(record["waits"]),
        runs=_durations(record["runs"]),
    )


def _durations(record: Mapping[str, Any]) -> Durations:
    return Durations(counts=list(record["counts"]), total=record["total"])
