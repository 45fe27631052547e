"""Keeps a tally at the journal's end, and the same one in all processes of a site.

A tally depends on where counting began. So that is a record of the stream `metrics`, and one that
names the beginning it replaces, the first one none: of several that replace the same, the first in
the stream counts, and all processes read that stream in one order. Now and then one of them leaves
its tally there under the beginning's name, so that another one need not read the journal from the
beginning on, which it does not keep for good.

Where the journal no longer reaches back to any of these records, counting begins anew. Prometheus
takes a counter that fell for one that was set back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

from opus_core import job as jobs
from opus_core.backends import Record, Storage
from opus_core.errors import Gap, OpusError, Unavailable
from opus_metrics.census import PAGE, Census
from opus_metrics.tally import Tally

T = TypeVar("T")

log = logging.getLogger(__name__)

STREAM: Final = "metrics"
"""Beginnings, without a key, and the last tally that was left of each under its name."""

PATIENCE: Final = 5.0  # [s] of one scrape; Prometheus waits 10 s unless it is told otherwise
MANY: Final = 10_000  # entries of the journal, which are read within a second
OFTEN: Final = timedelta(minutes=10)


class Follower:
    """The tally of one process, for any number of threads."""

    def __init__(self, storage: Storage, patience: float = PATIENCE) -> None:
        self._storage = storage
        self._patience = patience
        self._lock = threading.Lock()
        self._tally: Tally | None = None
        self._census: Census | None = None
        self._beginning = ""  # the name of the one that counts
        self._read = 0  # the number of the last record that was looked at
        self._left = 0  # the last entry in the tally that was left
        self._left_at = jobs.now()

    def look(self, at: Callable[[Tally], T]) -> T:
        """What `at` answers of a tally that has all that was in the journal at the call: an older
        one would let counters fall, where another process has answered in between.

        Raises `Unavailable` if that takes longer than `patience`; what was done is kept, so the
        next call is nearer to it. And what a storage raises.
        """
        deadline = time.monotonic() + self._patience
        if not self._lock.acquire(timeout=self._patience):
            raise Unavailable("others are counting; ask again")
        try:
            tally = self._current(deadline)
            self._leave(tally)
            return at(tally)
        finally:
            self._lock.release()

    def _current(self, deadline: float) -> Tally:
        self._read_stream()
        if self._follow(deadline) and self._tally:
            return self._tally
        # What is in memory leads nowhere; what others have left may.
        self._tally, self._beginning, self._read = None, "", 0
        self._read_stream()
        if not self._follow(deadline):
            self._begin(deadline)
        if self._tally is None or not self._follow(deadline):
            raise Unavailable("counting has to begin again; ask again")
        return self._tally

    def _follow(self, deadline: float) -> bool:
        """Count what is new; whether the journal goes on from where the tally is. A journal that
        ends before is that of a storage restored from a back-up."""
        tally = self._tally
        while tally is not None:
            try:
                newest, changes = self._storage.changes(tally.seq, limit=PAGE)
            except Gap:
                return False
            if newest < tally.seq:
                return False
            for change in changes:
                tally.add(change)
            if len(changes) < PAGE:
                self._census = None
                return True
            if time.monotonic() >= deadline:
                raise Unavailable(f"counted as far as change {tally.seq} of more; ask again")
        return False

    def _begin(self, deadline: float) -> None:
        """Count all jobs, and offer that as a beginning."""
        try:
            self._census = self._census or Census(self._storage)
            tally = self._census.go_on(deadline)
        except OpusError:
            self._census = None
            raise
        if tally is None:
            raise Unavailable("all jobs are being counted for the first time; ask again")
        name = {"beginning": jobs.new_id(), "replaces": self._beginning}
        self._storage.append(STREAM, {**name, **tally.record()})
        self._census = None
        self._read_stream()

    def _read_stream(self) -> None:
        while records := self._storage.records(STREAM, self._read):
            for record in records:
                self._consider(record)
                self._read = record.seq

    def _consider(self, record: Record) -> None:
        data = record.data
        if record.key is None and data["replaces"] == self._beginning:
            self._beginning, self._tally = data["beginning"], None
        elif record.key is None or record.key != self._beginning:
            return
        self._left, self._left_at = data["seq"], record.time
        if self._tally is None or self._tally.seq < data["seq"]:
            self._tally = Tally.of(data)

    def _leave(self, tally: Tally) -> None:
        """Leave the tally to others, if enough has come to it since anybody has."""
        new = tally.seq - self._left
        if new < MANY and (not new or jobs.now() - self._left_at < OFTEN):
            return
        self._left, self._left_at = tally.seq, jobs.now()
        try:
            self._storage.append(STREAM, tally.record(), key=self._beginning)
        except Unavailable as error:  # the numbers are right all the same
            log.warning("the metrics are not saved, which is tried again: %s", error.sentence)
