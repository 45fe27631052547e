"""A few threads for one part of the work, and the line of jobs before them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

log = logging.getLogger(__name__)

LINE = 5000
"""How many jobs wait for one pool; those beyond are left where they are, due in the storage."""


class Pool:
    """Does named tasks, each name by one thread at a time and in the order they came.

    Each part of the supervisor has its own, so that a part which hangs holds up nobody else's
    jobs. `done` is called after each task.
    """

    def __init__(self, name: str, threads: int, done: Callable[[], None]) -> None:
        self._executor = ThreadPoolExecutor(threads, name)
        self._done = done
        self._lock = threading.Lock()
        self._under_way: set[str] = set()

    @property
    def under_way(self) -> frozenset[str]:
        """The names of what is being done or waits to be."""
        with self._lock:
            return frozenset(self._under_way)

    def give(self, name: str, task: Callable[[], None]) -> bool:
        """Have the task done; False if it is under way already, or the line is full."""
        with self._lock:
            if name in self._under_way or len(self._under_way) >= LINE:
                return False
            self._under_way.add(name)
        self._executor.submit(self._do, name, task)
        return True

    def stop(self) -> None:
        """Finish what is being done, and forget what waits."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _do(self, name: str, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception:
            log.exception("%s could not be done", name)
        finally:
            with self._lock:
                self._under_way.discard(name)
            self._done()
