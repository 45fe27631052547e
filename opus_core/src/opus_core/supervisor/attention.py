"""Which LIVE jobs want to be looked at, since something happened to them or they are due."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from opus_core.supervisor.desk import pause

_AT_ONCE: Final = 1000  # jobs taken together
_SOON: Final = 0.5  # [s] until an event is followed again that came to nothing, then twice that ...
_REPEATS: Final = 8  # times


@dataclass(frozen=True, slots=True)
class Wanted:
    """Jobs that are to be looked at together."""

    jobs: Mapping[str, bool]  # by id: whether it is due
    events: Mapping[str, str]  # `begin` or `event`, as pokes say

    @property
    def due(self) -> set[str]:
        """Those that are due."""
        return {job_id for job_id, due in self.jobs.items() if due}


class Attention:
    """A list of wishes. Nobody tells of an event twice, so each stays until it is understood."""

    def __init__(self, wake: threading.Condition) -> None:
        """`wake`: notified whenever something is wanted; held while this is looked at."""
        self._wake = wake
        self._jobs: dict[str, bool] = {}
        self._events: dict[str, str] = {}
        self._taken: frozenset[str] = frozenset()
        self._repeats: dict[str, tuple[float, int]] = {}  # when again, and after how often

    def want(self, job_id: str, *, due: bool, event: str = "") -> None:
        """Have it looked at; not by a look that has begun, which may not see what has happened."""
        with self._wake:
            self._add(job_id, due=due, event=event)
            self._wake.notify_all()

    def _add(self, job_id: str, *, due: bool, event: str) -> None:
        self._jobs[job_id] = due or self._jobs.get(job_id, False)
        # One that has begun has left a mark in its folder; one that has ended may have left none.
        if event and self._events.get(job_id) != "event":
            self._events[job_id] = event

    @property
    def wanted(self) -> frozenset[str]:
        """All that wait for a look or have it just now, so that nobody asks for them again."""
        with self._wake:
            return self._taken.union(self._jobs)

    @property
    def next(self) -> float:
        """When there is something to look at, on the monotonic clock; infinity if there is not."""
        with self._wake:
            if self._jobs:
                return 0.0
            return min((again for again, _ in self._repeats.values()), default=math.inf)

    def take(self) -> Wanted:
        """What is to be looked at now, until `done` is called."""
        present = time.monotonic()
        with self._wake:
            for job_id, (again, _) in self._repeats.items():
                if again <= present:
                    self._add(job_id, due=False, event="event")
            ids = list(self._jobs)[:_AT_ONCE]
            jobs = {job_id: self._jobs.pop(job_id) for job_id in ids}
            events = {one: self._events.pop(one) for one in ids if one in self._events}
            self._taken = frozenset(jobs)
            return Wanted(jobs, events)

    def done(self, wanted: Wanted, *, again: Collection[str], unclear: Collection[str]) -> None:
        """They have been looked at. The events of `again` could not be followed, and stay.

        Of `unclear` nothing is known that counts. A scheduler tells of an end before it is done
        with it: a job is COMPLETING then, as SLURM says; or it does not answer, or the folders do
        not. Such a job is taken again after a while, and less often each time.
        """
        with self._wake:
            self._taken = frozenset()
            for job_id, event in wanted.events.items():
                times = self._repeats.pop(job_id, (0.0, 0))[1]
                if job_id in again:
                    self._add(job_id, due=False, event=event)
                elif job_id in unclear and times < _REPEATS:
                    self._repeats[job_id] = time.monotonic() + pause(times, _SOON), times + 1
