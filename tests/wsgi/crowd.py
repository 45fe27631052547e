"""Many who wait at once, and one who does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from opus_core.testing.server import Answer


def crowd(waiting: Callable[[], Answer], plain: Callable[[], Answer], seconds: float) -> float:
    """Fifty wait; so long as nearly `seconds` somebody else asks, again and again. Answers the
    slowest of these answers [s], once all have been answered 200 and somebody has waited."""
    begin = time.monotonic()
    answers: list[tuple[int, float]] = []

    def wait() -> None:
        status = waiting().status
        answers.append((status, time.monotonic() - begin))

    waiters = [threading.Thread(target=wait) for _ in range(50)]
    for waiter in waiters:
        waiter.start()
    slowest = 0.0
    while time.monotonic() - begin < seconds - 1:
        asked = time.monotonic()
        assert plain().status == 200
        slowest = max(slowest, time.monotonic() - asked)
    for waiter in waiters:
        waiter.join(30)
    assert [status for status, _ in answers] == [200] * 50
    times = sorted(took for _, took in answers)
    assert times[-1] > seconds - 0.5, "nobody has waited"
    assert times[len(times) // 2] < seconds - 0.5, "more have waited than there are slots"
    return slowest
