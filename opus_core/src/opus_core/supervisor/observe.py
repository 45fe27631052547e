"""Tell plugins about changes of phase, from the journal: each in order, at least once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Final

from opus_core import job as jobs
from opus_core.backends import Health, HealthState, Storage
from opus_core.errors import Gap, OpusError, Unavailable
from opus_core.job import Change
from opus_core.supervisor.tenure import Tenure

log = logging.getLogger(__name__)

STREAM: Final = "observed"
"""How far each observer has come, a record for each under its name."""

_COMPONENT: Final = "plugin"

_CYCLE: Final = 0.5  # [s] between two looks at whether this is to stop
_REPEATED: Final = 1.0  # [s] of changes that may be told again after a crash
_LEAST, _MOST = 1.0, 300.0  # [s] until somebody who could not be told is told again


class Observer:
    """One thread that follows the journal for one who wants to hear of changes, and remembers in
    the storage how far it came. What holds one up holds up no other."""

    def __init__(
        self, name: str, tell: Callable[[Change], None], storage: Storage, tenure: Tenure
    ) -> None:
        self.name = name
        self._tell = tell
        self._storage = storage
        self._tenure = tenure
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"opus-observe-{name}", daemon=True)
        self._pause = 0.0  # [s] how long it was left alone after the last time it could not be told

    def start(self) -> None:
        """Begin where the last one of this name and storage stopped."""
        self._thread.start()

    def finish(self) -> None:
        """Tell no more than the change that is being told."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait for the end of it."""
        if self._thread.ident is not None:
            self._thread.join(timeout=seconds)
            if self._thread.is_alive():
                log.warning("observer=%s does not come back from a change", self.name)

    def _run(self) -> None:
        position: int | None = None
        while not self._stopping.is_set():
            if not self._tenure.wait(1.0):
                position = None  # another supervisor may have gone on meanwhile
                continue
            try:
                if position is None:
                    position = self._remembered()
                if self._storage.wait_change(position, _CYCLE):
                    position = self._follow(position)
            except Gap as gap:
                log.warning("observer=%s: changes were forgotten before it heard them", self.name)
                position = gap.newest
            except OpusError as error:
                log.warning("observer=%s has to wait: %s", self.name, error.sentence)
                self._stopping.wait(1.0)
                position = None
            except Exception:
                log.exception("observer=%s cannot go on", self.name)
                self._stopping.wait(1.0)
                position = None  # it goes on behind what it was told

    def _remembered(self) -> int:
        for record in self._storage.records(STREAM):
            if record.key == self.name:
                return int(record.data["seq"])
        newest = self._storage.changes(-1)[0]
        self._remember(newest)
        return newest

    def _remember(self, seq: int) -> None:
        self._storage.append(STREAM, {"seq": seq}, key=self.name)

    def _follow(self, position: int) -> int:
        """Tell what is new, as far as that goes; the number of the last change that is over."""
        newest, changes = self._storage.changes(position)
        told = kept = position
        due = time.monotonic() + _REPEATED
        try:
            for change in changes:
                if not self._is_over(change):
                    return told
                told = change.seq
                if time.monotonic() >= due:
                    self._remember(told)
                    kept, due = told, time.monotonic() + _REPEATED
            told = newest
        finally:
            if told > kept:
                self._remember(told)
        return told

    def _is_over(self, change: Change) -> bool:
        """Whether it has been told, or cannot be; tried until then."""
        while not self._stopping.is_set() and self._tenure.acting:
            try:
                self._tell(change)
            except Unavailable as error:
                self._wait(error)
                continue
            except Exception:
                log.exception("observer=%s failed on job=%s", self.name, change.job_id)
            if self._pause:
                self._pause = 0.0
                self._say(HealthState.OK, "it is told of changes again")
            return True
        return False

    def _wait(self, error: Unavailable) -> None:
        if not self._pause:
            self._say(HealthState.DEGRADED, f"it waits to be told of changes: {error.sentence}")
        self._pause = min(max(self._pause * 2, error.retry_after or _LEAST), _MOST)
        log.warning(
            "observer=%s is told again in %.0f s: %s", self.name, self._pause, error.sentence
        )
        self._stopping.wait(self._pause)

    def _say(self, state: HealthState, sentence: str) -> None:
        _say(self._storage, self.name, state, sentence)


def forget_others(storage: Storage, names: Collection[str]) -> None:
    """Let nobody wait for observers that there are no more."""
    for component, health in storage.health().items():
        kind, _, name = component.partition(" ")
        if kind == _COMPONENT and name not in names and health.state is not HealthState.OK:
            _say(storage, name, HealthState.OK, "it is not installed any more, or not in use")


def _say(storage: Storage, name: str, state: HealthState, sentence: str) -> None:
    now = jobs.now()
    health = Health(state=state, sentence=sentence, since=now, heartbeat=now)
    storage.set_health(f"{_COMPONENT} {name}", health)
