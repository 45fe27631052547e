"""Clients that WAIT: more than there are slots, a thousand that are really held, and how soon
they are told, by the same server and by another one on the same data."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.asking import ask, get, load, post
from benchmarks.crowd import HELD, PAUSE, Crowd, one_more
from benchmarks.figure import Figure
from benchmarks.site import Site, new_site

_WAIT = 60  # [s]: longer than anything here takes
_TOLD = 30.0  # [s] within which all must have been told


def figures(quick: bool) -> Iterator[Figure]:
    """The same numbers when quick: they are what is promised."""
    # All clients are one anonymous user, who by default may have a quarter of the slots.
    with new_site(server="wait_per_user = 32") as site, site.serve():
        yield from _more_than_slots(site)
    thousand = "threads = 1200\nwait_slots = 1000\nwait_per_user = 1000"
    with new_site(server=thousand) as site, site.serve():
        one = _held(site, site.url)
        yield Figure("1,000 slots, held", one.held, "clients", floor=1000, note=one.proof)
        yield Figure("1,000 slots, GET phase p99", 1000 * one.phase, "ms")
        yield Figure("1,000 told rightly", len(one.told), "clients", floor=1000, note=one.wrong)
        yield Figure("wake-up p99", one.p99, "ms", ceiling=500, note=one.median)
        with site.serve_beside() as other:
            two = _held(site, other)
        yield Figure("1,000 told, across processes", len(two.told), "clients", floor=1000)
        yield Figure("wake-up p99, across processes", two.p99, "ms", ceiling=500, note=two.median)


def _more_than_slots(site: Site) -> Iterator[Figure]:
    """64 threads, and so 32 slots, for 500 clients."""
    job = site.create()
    with Crowd(job, 500, wait=_WAIT) as crowd:
        time.sleep(HELD + PAUSE)
        answer = load(get(f"{job}/phase"), seconds=5, connections=4)
        held, again = crowd.held, crowd.asked_again
        one_more(job)
        ask(post(f"{job}/phase", {"PHASE": "ABORT"}))
        told = crowd.told(_TOLD)
        wrong = crowd.wrong()
    yield Figure("500 clients wait, told rightly", len(told), "clients", floor=500, note=wrong)
    note = f"the others were answered at once, {again:,} times"
    yield Figure("500 clients wait, held", held, "clients", floor=32, note=note)
    yield Figure("500 clients wait, GET phase p99", 1000 * answer["p99"], "ms", ceiling=100)


@dataclass(frozen=True)
class _Held:
    """What came of a thousand that waited for one job."""

    held: int
    phase: float  # [s] p99 of GET phase meanwhile
    told: list[float]  # [s] from the ABORT on
    wrong: str
    proof: str = "and one more is answered at once: the slots are taken"

    @property
    def p99(self) -> float | None:
        return 1000 * self.told[int(len(self.told) * 0.99)] if self.told else None

    @property
    def median(self) -> str:
        return f"median {1000 * self.told[len(self.told) // 2]:,.0f} ms" if self.told else ""


def _held(site: Site, by: str) -> _Held:
    """Have a thousand wait for a job, and abort it through the server `by`."""
    job = site.create()
    with Crowd(job, 1000, wait=_WAIT) as crowd:
        time.sleep(2 * HELD)
        answer = load(get(f"{job}/phase"), seconds=2, connections=4)
        one_more(job)
        held = crowd.held if not crowd.asked_again else 0
        phase = f"{by}/rest/nothing/{job.rpartition('/')[2]}/phase"
        begin = time.perf_counter()
        ask(post(phase, {"PHASE": "ABORT"}))
        told = [moment - begin for moment in crowd.told(_TOLD)]
        return _Held(held, answer["p99"], told, crowd.wrong())
