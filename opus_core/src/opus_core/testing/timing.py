"""Waiting for what must come true, and running things at once, without a fixed sleep."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = float(os.environ.get("OPUS_TESTING_PATIENCE", "20"))
"""How long a busy machine may take for what is due at once [s]; a slow cluster needs more."""


def eventually(
    condition: Callable[[], T], what: str | Callable[[], str], seconds: float = PATIENCE
) -> T:
    """Ask until `condition` answers something true, and answer that.

    Fails the test after `seconds` with `what`, which says what was to come true, or is asked then.
    """
    deadline = time.monotonic() + seconds
    pause = 0.002
    while not (answer := condition()):
        if time.monotonic() > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"{said}: not so within {seconds:g} s (last answer: {answer!r})")
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    return answer


def race(*calls: Callable[[], T]) -> list[T | Exception]:
    """Make all calls at once, each in a thread; what each returned or raised, in their order."""
    outcomes: dict[int, T | Exception] = {}
    ready = threading.Barrier(len(calls))

    def run(number: int, call: Callable[[], T]) -> None:
        ready.wait(PATIENCE)
        try:
            outcomes[number] = call()
        except Exception as error:
            outcomes[number] = error

    threads = [
        threading.Thread(target=run, args=(number, call), daemon=True)
        for number, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 2 * PATIENCE
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    stuck = [number for number in range(len(calls)) if number not in outcomes]
    if stuck:
        raise AssertionError(f"{len(stuck)} of {len(calls)} calls made at once did not return")
    return [outcomes[number] for number in range(len(calls))]


def together(*calls: Callable[[], T]) -> list[T]:
    """Make all calls at once, as `race`, where none of them may fail."""
    answers: list[T] = []
    for outcome in race(*calls):
        if isinstance(outcome, Exception):
            raise outcome
        answers.append(outcome)
    return answers
