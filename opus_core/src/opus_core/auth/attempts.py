"""How often somebody may guess: wrong attempts are counted by whom and from where they were made.

Each process of a site counts for itself, so of several the sum is what an attacker has.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from typing import Final

from opus_core.errors import LimitReached

_KEPT: Final = 100_000  # keys


class Attempts:
    """Wrong attempts of the last `seconds`; `most` of them for one key, then no more."""

    def __init__(self, *, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, key: str) -> None:
        """Count an attempt before it is looked at, so that many at once do not slip through.

        Raises `LimitReached` where there were too many.
        """
        now = time.monotonic()
        with self._lock:
            wrong = self._wrong.setdefault(key, deque())
            self._wrong.move_to_end(key)
            while len(self._wrong) > _KEPT:
                self._wrong.popitem(last=False)
            while wrong and wrong[0] <= now - self._seconds:
                wrong.popleft()
            if len(wrong) >= self._most:
                raise LimitReached(
                    "there were too many wrong attempts to sign in; wait a while, or use a token",
                    retry_after=wrong[0] + self._seconds - now,
                )
            wrong.append(now)

    def succeeded(self, key: str) -> None:
        """The last attempt was right: it does not count."""
        with self._lock:
            wrong = self._wrong.get(key)
            if wrong:
                wrong.pop()
