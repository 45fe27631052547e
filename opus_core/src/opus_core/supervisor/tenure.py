"""One supervisor at a time: a lease of the storage, renewed by a thread that does nothing else.

Before every act outside the storage the supervisor asks `must`, which goes by this process's own
monotonic clock and stops short of the lease; its saves carry the lease's epoch. What slips
through a pause longer than that is harmless by the claim and by marks that are never withdrawn.
"""

from __future__ import annotations

import logging
import threading
import time

from opus_core import job as jobs
from opus_core import process
from opus_core.backends import SUPERVISOR, Health, HealthState, Storage
from opus_core.errors import OpusError

log = logging.getLogger(__name__)


class NotActing(Exception):
    """This process is not the acting supervisor, or not surely enough."""


class Tenure:
    """Holds the supervisor's lease, or waits for it."""

    def __init__(self, storage: Storage, *, seconds: float = 15.0) -> None:
        self._storage = storage
        self._seconds = seconds
        self._holder = f"{process.identity()}/{id(self):x}"
        self._deadline = 0.0
        self._since = jobs.now()
        self.epoch = 0
        self._finishing = False
        self._stopping = threading.Event()
        self._gained = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="opus-lease", daemon=True)

    @property
    def acting(self) -> bool:
        """The lease is surely ours now."""
        return time.monotonic() < self._deadline

    def must(self) -> int:
        """The epoch to act under. Raises `NotActing`."""
        if not self.acting:
            raise NotActing
        return self.epoch

    def lapse(self) -> None:
        """A save was refused, since another supervisor has a newer lease: act no more until this
        one has it again."""
        if self._deadline:
            log.warning("another supervisor has taken over")
        self._deadline = 0.0

    def start(self) -> None:
        """Begin to try for the lease."""
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Block until this is the acting supervisor, at most `seconds`."""
        with self._gained:
            self._gained.wait_for(lambda: self.acting or self._finishing, seconds)
        return self.acting

    def finish(self) -> None:
        """Let nobody wait for the lease any more; it is kept while there is something to finish."""
        with self._gained:
            self._finishing = True
            self._gained.notify_all()

    def stop(self) -> None:
        """Give the lease up, so that another supervisor need not wait for it to lapse."""
        self.finish()
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=self._seconds)
        self._deadline = 0.0
        try:
            self._storage.release(SUPERVISOR, self._holder)
        except OpusError as error:
            log.warning("the lease could not be given up: %s", error.sentence)

    def _run(self) -> None:
        pause = self._seconds / 3
        while not self._stopping.is_set():
            try:
                self._renew()
            except OpusError as error:
                log.warning("the lease could not be renewed: %s", error.sentence)
            except Exception:
                log.exception("the lease could not be renewed")
            # One that waits looks more often: a dead holder of this host is replaced at once.
            self._stopping.wait(pause if self.acting else min(1.0, pause))

    def _renew(self) -> None:
        asked = time.monotonic()
        lease = self._storage.lease(SUPERVISOR, self._holder, self._seconds)
        if lease.holder != self._holder and process.dead(lease.holder):
            self._storage.release(SUPERVISOR, lease.holder)
            lease = self._storage.lease(SUPERVISOR, self._holder, self._seconds)
        if lease.holder != self._holder:
            if self._deadline:
                log.warning("another supervisor has taken over: %s", lease.holder)
            self._deadline = 0.0
            return
        if lease.epoch != self.epoch:
            log.info("this is the acting supervisor, epoch %d", lease.epoch)
            self._since = jobs.now()
        with self._gained:
            self.epoch = lease.epoch
            self._deadline = asked + self._seconds * 2 / 3
            self._gained.notify_all()
        self._storage.set_health(
            SUPERVISOR,
            Health(
                state=HealthState.OK,
                sentence=f"supervisor {self._holder} is acting",
                since=self._since,
                heartbeat=jobs.now(),
            ),
        )
