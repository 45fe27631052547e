"""A few threads for one part of the work, and the lines of jobs before them."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from opus_core.errors import Unavailable

log = logging.getLogger(__name__)

_Task = tuple[str, Callable[[], None]]

LINE = 5000
"""How many jobs wait for one pool; those beyond are left where they are, due in the storage."""


class Pool:
    """Does named tasks, each name by one thread at a time and in the order they came.

    Each part of the supervisor has its own, so that a part which hangs holds up nobody else's
    jobs. `done` is called after each task. With a `share` nobody has more of the threads than
    that, nor more than `line` tasks that wait; and who waits has a turn before others have a
    second one.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        done: Callable[[], None],
        *,
        share: int | None = None,
        line: int = LINE,
    ) -> None:
        self._executor = ThreadPoolExecutor(threads, name)
        self._done = done
        self._share = share or threads
        self._line = line
        self._idle = threads
        self._lock = threading.Lock()
        self._under_way: set[str] = set()
        self._lines: dict[str, deque[_Task]] = {}
        self._busy = Counter[str]()
        self._turns: dict[str, int] = {}  # of whom threads are busy for: when they had the last
        self._turn = 0

    @property
    def under_way(self) -> frozenset[str]:
        """The names of what is being done or waits to be."""
        with self._lock:
            return frozenset(self._under_way)

    def give(self, name: str, task: Callable[[], None], whose: str = "") -> bool:
        """Have somebody's task done; False if it is under way already, or the line is full."""
        with self._lock:
            if name in self._under_way or len(self._under_way) >= LINE:
                return False
            if len(self._lines.get(whose, ())) >= self._line:
                return False
            self._under_way.add(name)
            self._lines.setdefault(whose, deque()).append((name, task))
            self._begin()
        return True

    def stop(self) -> None:
        """Finish what is being done, and forget what waits."""
        with self._lock:
            self._lines.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _begin(self) -> None:
        """Have idle threads do what waits."""
        while self._idle:
            free = [whose for whose in self._lines if self._busy[whose] < self._share]
            if not free:
                return
            whose = min(free, key=lambda whose: self._turns.get(whose, 0))
            name, task = self._lines[whose].popleft()
            if not self._lines[whose]:
                del self._lines[whose]
            self._turn += 1
            self._turns[whose] = self._turn
            self._busy[whose] += 1
            self._idle -= 1
            self._executor.submit(self._do, name, task, whose)

    def _do(self, name: str, task: Callable[[], None], whose: str) -> None:
        try:
            task()
        except Unavailable as error:
            # A storage or a cluster that is away: no fault of ours, and it is given again.
            log.warning("%s has to wait: %s", name, error.sentence)
        except Exception:
            log.exception("%s could not be done", name)
        finally:
            with self._lock:
                self._under_way.discard(name)
                self._idle += 1
                self._busy[whose] -= 1
                self._begin()
                if not self._busy[whose]:
                    del self._busy[whose], self._turns[whose]
            self._done()
