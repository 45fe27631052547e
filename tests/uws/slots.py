"""A server with one slot to wait in, and somebody who has it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import Site, site
from uws.jobs import WORK, describe


@contextmanager
def full(folder: Path) -> Iterator[Site]:
    """A server on which somebody waits in the only slot there is."""
    with site(folder) as one:
        one.configure(
            server=f"port = {one.port}\nthreads = 4\nwait_slots = 1\nwait_per_user = 1",
            supervisor="embedded = false",
            jobs="max_wait = 30",
        )
        describe(one, WORK)
        one.serve()
        job = one.create("work", run=False)
        leaving = threading.Event()

        def wait() -> None:
            while not leaving.is_set():
                one.get(f"{job}?WAIT=30")

        waiting = threading.Thread(target=wait)
        waiting.start()
        try:
            taken(one, job)
            yield one
        finally:
            leaving.set()
            one.post(f"{job}/phase", {"PHASE": "ABORT"})
            waiting.join()


def taken(one: Site, job: str, again: Callable[[], None] = lambda: None) -> None:
    """Until a second one who would wait is answered at once; `again` is called where that one got
    the slot instead, and was the first."""
    deadline = time.monotonic() + 30
    while True:
        begin = time.monotonic()
        one.get(f"{job}?WAIT=1")
        if time.monotonic() - begin < 0.5:
            return
        assert begin < deadline, "nobody has the slot"
        again()
