"""Jobs that do nothing, eight in flight, from creation to COMPLETED."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.asking import ask, get
from benchmarks.figure import Figure
from benchmarks.site import Site, new_site

IN_FLIGHT = 8
LONGEST = 60.0  # [s] that one may take; one that takes longer is stuck
OVER = ("COMPLETED", "ERROR", "ABORTED", "ARCHIVED")


def figures(quick: bool) -> Iterator[Figure]:
    """The rate, and how many came to their end."""
    number = 100 if quick else 400
    # All clients are one anonymous user: each may wait.
    with new_site(server="wait_per_user = 32") as site, site.serve():
        begin = time.perf_counter()
        with ThreadPoolExecutor(IN_FLIGHT) as clients:
            phases = list(clients.map(lambda _: _run(site), range(number)))
        took = time.perf_counter() - begin
    others = sorted({phase for phase in phases if phase != "COMPLETED"})
    completed = number - sum(phase in others for phase in phases)
    yield Figure("trivial jobs, 8 in flight", completed / took, "/s", floor=30)
    note = f"others: {', '.join(others)}" if others else ""
    yield Figure("trivial jobs, completed", completed, "jobs", floor=number, note=note)


def _run(site: Site) -> str:
    """The phase in which one is when it is over, or in which it is stuck."""
    deadline = time.monotonic() + LONGEST
    job = site.create(PHASE="RUN")
    phase = ""
    while phase not in OVER and time.monotonic() < deadline:
        query = f"?WAIT=10&PHASE={phase}" if phase else "?WAIT=10"
        answer = ask(get(job + query, headers={"Accept": "application/json"}))
        phase = str(json.loads(answer.body)["phase"])
    return phase
