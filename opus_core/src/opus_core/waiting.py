"""Waiting for changes: one watcher a process, any number of waiters, an admission budget.

A blocked thread is cheap; more waiters than threads stop a server. So a waiter needs a slot, and
whoever gets none is answered at once with the present state, which UWS 1.1 section 2.2.1.2
allows. A waiter costs no query while it waits: one thread follows the journal while anybody
waits, and wakes those whose job, or any of whose jobs, has changed. Changes made in this process
wake them at once. Whose client has left is sent away within a second or two: a browser whose user
goes from page to page must not keep the places of the pages that are closed.

Of many who are to wake one does, and the next one when that has looked. A thousand threads
that wake together fight for Python's lock, and every other request waits until they are done.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from opus_core.backends import Storage
from opus_core.departure import Gone, stays
from opus_core.errors import Gap, OpusError
from opus_core.facts import add

log = logging.getLogger(__name__)

_CYCLE = 1.0  # [s] between two looks at whether anybody still waits
_AT_ONCE = 1  # waiters that are awake to look at what has changed
_LOOK = 1.0  # [s] after which one that is still looking keeps nobody asleep


class Owner(NamedTuple):
    """What one waits for who waits for any job of an owner; None: for those without one."""

    name: str | None


Topic = str | Owner
"""What is waited for: one job, by its id, or any of an owner."""


class Waiter:
    """One waiter's place; made by `Watcher.waiter`."""

    def __init__(self, turns: _Turns, *, admitted: bool, gone: Gone = stays) -> None:
        self.admitted = admitted
        self.gone = gone
        self.due = False  # it is to be woken when it has a turn
        self.woken = threading.Event()
        self.waited = 0.0  # [s]
        self._turns = turns

    def wait(self, seconds: float) -> bool:
        """Block until woken, at most `seconds`; answers at once without a slot.

        True: woken, so look again. False: the time is up, or there was no slot.
        """
        if not self.admitted or seconds <= 0:
            return False
        if not self.woken.is_set():
            self._turns.end(self)
        began = time.monotonic()
        woken = self.woken.wait(seconds)
        self.waited += time.monotonic() - began
        self.woken.clear()
        return woken


class _Turns:
    """Who is woken, and when. A turn lasts until its waiter waits again, or leaves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: deque[Waiter] = deque()
        self._awake: dict[Waiter, float] = {}  # since when

    def give(self, waiters: Iterable[Waiter]) -> None:
        """Something that concerns these has changed: each is to look, when it has a turn."""
        with self._lock:
            for waiter in waiters:
                if not waiter.due and not waiter.woken.is_set():
                    waiter.due = True
                    self._due.append(waiter)
            self._wake()

    def end(self, waiter: Waiter) -> None:
        """It has looked."""
        with self._lock:
            self._awake.pop(waiter, None)
            self._wake()

    def leave(self, waiter: Waiter) -> None:
        """It waits no more."""
        with self._lock:
            waiter.due = False
            self._awake.pop(waiter, None)
            self._wake()

    def renew(self) -> None:
        """End the turns of those who have been looking for too long."""
        with self._lock:
            then = time.monotonic() - _LOOK
            self._awake = {one: since for one, since in self._awake.items() if since > then}
            self._wake()

    def _wake(self) -> None:
        while self._due and len(self._awake) < _AT_ONCE:
            waiter = self._due.popleft()
            if waiter.due:  # or it has left
                waiter.due = False
                self._awake[waiter] = time.monotonic()
                waiter.woken.set()


class Watcher:
    """Follows the journal for all waiters of this process."""

    def __init__(self, storage: Storage, *, slots: int, per_user: int) -> None:
        self._storage = storage
        self._slots = slots
        self._per_user = per_user
        self._lock = threading.Lock()
        self._waiters: dict[Topic, set[Waiter]] = {}
        self._users: Counter[str] = Counter()
        self._turns = _Turns()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._closed = threading.Event()

    @contextmanager
    def waiter(self, topic: Topic, user: str, gone: Gone = stays) -> Iterator[Waiter]:
        """A place to wait for changes, in the name of a quota key.

        Enter it before reading what may change: no change after that is missed. Where the budget
        is used up the place is not admitted, and its `wait` returns at once.
        """
        waiter = self._admit(topic, user, gone)
        if not waiter.admitted:
            yield waiter
            return
        try:
            self._follow()
            yield waiter
        finally:
            with self._lock:
                places = self._waiters.get(topic, set())
                places.discard(waiter)
                if not places:
                    self._waiters.pop(topic, None)
                self._users[user] -= 1
                if self._users[user] <= 0:
                    del self._users[user]
            if waiter.waited:
                add(waited=round(waiter.waited, 3))
            self._turns.leave(waiter)  # nobody can give it one any more

    def changed(self, *topics: Topic) -> None:
        """These have changed: wake who waits for them. Whoever changes a job in this process
        calls it, so that nobody has to wait for the journal to be read."""
        with self._lock:
            self._turns.give(one for topic in topics for one in self._waiters.get(topic, ()))

    def close(self) -> None:
        """Wake everybody and admit nobody any more, so that a server can stop; safe twice."""
        with self._lock:
            self._closing = True
            for places in self._waiters.values():
                for waiter in places:
                    _dismiss(waiter)
            thread = self._thread
        self._closed.set()
        if thread is not None:
            thread.join(timeout=2 * _CYCLE)

    def _admit(self, topic: Topic, user: str, gone: Gone) -> Waiter:
        with self._lock:
            full = self._closing or sum(self._users.values()) >= self._slots
            if full or self._users[user] >= self._per_user:
                return Waiter(self._turns, admitted=False)
            waiter = Waiter(self._turns, admitted=True, gone=gone)
            self._users[user] += 1
            self._waiters.setdefault(topic, set()).add(waiter)
            return waiter

    def _follow(self) -> None:
        """Start the thread unless it runs; where it begins is read before the waiter goes on."""
        with self._lock:
            if self._thread is not None or self._closing:
                return
            position, _ = self._storage.changes(-1)
            self._thread = threading.Thread(
                target=self._run, args=(position,), name="opus-watcher", daemon=True
            )
            self._thread.start()

    def _run(self, position: int) -> None:
        looked = time.monotonic()
        while True:
            with self._lock:
                if not self._waiters or self._closing:
                    self._thread = None
                    return
            self._turns.renew()
            if time.monotonic() - looked >= _CYCLE:
                looked = time.monotonic()
                self._dismiss_gone()
            try:
                if not self._storage.wait_change(position, _CYCLE):
                    continue
                position, changes = self._storage.changes(position)
            except Gap as gap:
                position = gap.newest
                self._wake_all()
            except OpusError as error:
                # The storage is away: waiters are bounded by their own time.
                log.warning("cannot follow the journal: %s", error.sentence)
                self._closed.wait(1.0)
            except Exception:
                log.exception("cannot follow the journal")
                self._closed.wait(1.0)
            else:
                for change in changes:
                    self.changed(change.job_id, Owner(change.owner))

    def _dismiss_gone(self) -> None:
        with self._lock:
            waiters = [one for places in self._waiters.values() for one in places]
        for waiter in waiters:
            try:
                gone = waiter.gone()
            except Exception:
                log.exception("whether a client has left cannot be told")
                waiter.gone, gone = stays, False
            if gone:
                _dismiss(waiter)

    def _wake_all(self) -> None:
        with self._lock:
            for places in self._waiters.values():
                self._turns.give(places)


def _dismiss(waiter: Waiter) -> None:
    """Let it answer, and never block again: its slot is taken away."""
    waiter.admitted = False
    waiter.woken.set()
