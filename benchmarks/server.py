"""From the start to the first answer, and what an idle server takes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import memory
from benchmarks.asking import ask, get
from benchmarks.figure import Figure
from benchmarks.site import new_site

_SETTLES = 3.0  # [s]


def figures(quick: bool) -> Iterator[Figure]:
    """Of a server that has its data already."""
    with new_site() as site:
        with site.serve():
            ask(get(site.job_list()))
        begin = time.perf_counter()
        with site.serve() as pid:
            ask(get(site.job_list()))
            took = time.perf_counter() - begin
            yield Figure("start to first answer", took, "s", ceiling=1)
            time.sleep(_SETTLES)
            yield Figure("idle server (PSS)", memory.used(pid), "MiB", ceiling=80)
