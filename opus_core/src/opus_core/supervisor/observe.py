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
from opus_core.facts import about
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
    """One thread that follows the journal for one who wants to hear of changes, and keeps in the
    storage how far it came. What holds one up holds up no other."""

    def __init__(
        self, name: str, tell: Callable[[Change], None], storage: Storage, tenure: Tenure
    ) -> None:
        self.name = name
        self._tell = tell
        self._storage = storage
        self._tenure = tenure
        self._epoch = -1  # of the lease under which the position was read
        self._position: int | None = None  # the number of the last change that is over
        self._kept = -1  # the same as the storage has it
        self._due = 0.0  # [s] monotonic, when the storage has to have it
        self._waits = False  # health says that it cannot be told
        self._pause = 0.0  # [s] that it was left alone after the last time it could not be told
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"opus-observe-{name}", daemon=True)

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
                log.warning("does not come back from a change", extra=about(observer=self.name))

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._tenure.wait(1.0):
                continue
            try:
                if self._epoch != self._tenure.epoch:
                    self._take_up()
                self._go_on()
            except Gap as gap:
                log.warning(
                    "changes were forgotten before it heard them", extra=about(observer=self.name)
                )
                self._position = gap.newest
            except OpusError as error:
                log.warning("has to wait: %s", error.sentence, extra=about(observer=self.name))
                self._stopping.wait(1.0)
            except Exception:
                log.exception("cannot go on", extra=about(observer=self.name))
                self._stopping.wait(1.0)
        self._keep()

    def _take_up(self) -> None:
        """Go on where whoever had the lease before has stopped."""
        epoch = self._tenure.epoch
        found = [one for one in self._storage.records(STREAM) if one.key == self.name]
        if found:
            self._position = self._kept = int(found[0].data["seq"])
        else:
            self._position = self._storage.changes(-1)[0]
        health = self._storage.health().get(f"{_COMPONENT} {self.name}")
        self._waits = health is not None and health.state is not HealthState.OK
        self._epoch = epoch
        if not found:
            self._keep()

    def _go_on(self) -> None:
        """Tell what is new, as far as that goes."""
        if self._position is None:
            return
        if time.monotonic() >= self._due:
            self._keep()  # what could not be stored before
        if not self._storage.wait_change(self._position, _CYCLE):
            return
        newest, changes = self._storage.changes(self._position)
        for change in changes:
            if not self._is_over(change):
                return
            self._position = change.seq
            if time.monotonic() >= self._due:
                self._keep()
        self._position = newest
        self._keep()

    def _keep(self) -> None:
        """Store how far it came. A storage that takes nothing is no reason to tell it again."""
        position = self._position
        if position is None or position == self._kept:
            return
        if not self._tenure.acting or self._epoch != self._tenure.epoch:
            return  # somebody else knows better
        self._due = time.monotonic() + _REPEATED
        try:
            self._storage.append(STREAM, {"seq": position}, key=self.name)
            self._kept = position
        except OpusError as error:
            log.warning(
                "how far it came is not kept: %s", error.sentence, extra=about(observer=self.name)
            )

    def _is_over(self, change: Change) -> bool:
        """Whether it has been told, or cannot be; tried until then."""
        while not self._stopping.is_set() and self._tenure.acting:
            try:
                self._tell(change)
            except Unavailable as error:
                self._wait(error)
                continue
            except Exception:
                log.exception(
                    "failed on a change", extra=about(observer=self.name, job=change.job_id)
                )
                return True
            self._pause = 0.0
            if self._waits:
                self._waits = not _say(
                    self._storage, self.name, HealthState.OK, "it takes changes again"
                )
            return True
        return False

    def _wait(self, error: Unavailable) -> None:
        if not self._waits:
            sentence = f"it waits to be told of changes: {error.sentence}"
            self._waits = _say(self._storage, self.name, HealthState.DEGRADED, sentence)
        self._pause = min(max(self._pause * 2, error.retry_after or _LEAST), _MOST)
        log.warning(
            "is told again in %.0f s: %s",
            self._pause,
            error.sentence,
            extra=about(observer=self.name),
        )
        self._stopping.wait(self._pause)


def forget_others(storage: Storage, names: Collection[str]) -> None:
    """Let nobody wait for observers that there are no more."""
    for component, health in storage.health().items():
        kind, _, name = component.partition(" ")
        if kind == _COMPONENT and name not in names and health.state is not HealthState.OK:
            _say(storage, name, HealthState.OK, "it is not installed any more, or not in use")


def _say(storage: Storage, name: str, state: HealthState, sentence: str) -> bool:
    """Say how an observer is; whether that could be stored."""
    now = jobs.now()
    health = Health(state=state, sentence=sentence, since=now, heartbeat=now)
    try:
        storage.set_health(f"{_COMPONENT} {name}", health)
    except OpusError as error:
        log.warning("its health is not stored: %s", error.sentence, extra=about(observer=name))
        return False
    return True
