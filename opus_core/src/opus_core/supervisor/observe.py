"""Tell plugins about changes of phase, from the journal: in order, at least once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from opus_core.backends import Storage
from opus_core.errors import Gap, OpusError
from opus_core.job import Change
from opus_core.supervisor.tenure import Tenure

log = logging.getLogger(__name__)

_STREAM = "observed"
_CYCLE = 0.5  # [s] between two looks at whether this is to stop


class Observer:
    """One thread that follows the journal and remembers in the storage how far it came."""

    def __init__(self, storage: Storage, tenure: Tenure, notify: Callable[[Change], None]) -> None:
        self._storage = storage
        self._tenure = tenure
        self._notify = notify
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="opus-observe", daemon=True)

    def start(self) -> None:
        """Begin where the last observer of this storage stopped."""
        self._thread.start()

    def finish(self) -> None:
        """Tell no more than the change that is being told."""
        self._stopping.set()

    def join(self) -> None:
        """Wait for the end of it."""
        if self._thread.ident is not None:
            self._thread.join(timeout=30)

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
                    position = self._tell(position)
            except Gap as gap:
                log.warning("changes were forgotten before plugins were told of them")
                position = gap.newest
            except OpusError as error:
                log.warning("plugins cannot be told of changes: %s", error.sentence)
                self._stopping.wait(1.0)
            except Exception:
                log.exception("plugins could not be told of a change")
                position = None  # it is told again, and what was told before it is not
                self._stopping.wait(1.0)

    def _remembered(self) -> int:
        records = self._storage.records(_STREAM)
        if records:
            return int(records[-1].data["seq"])
        newest = self._storage.changes(-1)[0]
        self._storage.append(_STREAM, {"seq": newest}, key=_STREAM)
        return newest

    def _tell(self, position: int) -> int:
        newest, changes = self._storage.changes(position)
        told = position
        try:
            for change in changes:
                if self._stopping.is_set() or not self._tenure.acting:
                    return told
                self._notify(change)
                told = change.seq
            told = newest
        finally:
            if told > position:
                self._storage.append(_STREAM, {"seq": told}, key=_STREAM)
        return told
