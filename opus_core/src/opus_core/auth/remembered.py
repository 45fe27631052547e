"""What was looked up a moment ago, so that not every request asks the storage."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """The answers of the last seconds. What another process changes shows when they are over;
    what this one changes, at once, by `forget`."""

    def __init__(self, *, seconds: float, most: int = 10_000) -> None:
        self._seconds = seconds
        self._most = most
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._lock = threading.Lock()
        self._changes = 0

    def get(self, key: K, ask: Callable[[], V]) -> V:
        """The answer for the key; asked for if there is none, or only an old one. What `ask`
        raises is not remembered."""
        with self._lock:
            changes = self._changes
            found = self._kept.get(key)
        if found is not None and time.monotonic() < found[0]:
            return found[1]
        answer = ask()
        with self._lock:
            if changes == self._changes:  # else what was asked may be what has just changed
                self._kept[key] = (time.monotonic() + self._seconds, answer)
                self._kept.move_to_end(key)
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
        return answer

    def forget(self) -> None:
        """Ask anew for everything."""
        with self._lock:
            self._changes += 1
            self._kept.clear()

    def forget_one(self, key: K) -> None:
        """Ask anew for one."""
        with self._lock:
            self._changes += 1
            self._kept.pop(key, None)
