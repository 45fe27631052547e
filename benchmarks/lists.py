"""Lists that stay fast with 100,000 jobs, and the whole of them, streamed."""

from __future__ import annotations

import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.asking import ask, connect, get, load
from benchmarks.figure import Failed, Figure
from benchmarks.memory import Growth
from benchmarks.site import Site, new_site

SMALL, LARGE = 1000, 100_000  # jobs
SHOWN = 20  # in the lists that are compared; as many are EXECUTING
JOBREF = re.compile(rb"<(?:\w+:)?jobref[ >]")

_ROUNDS = 3
_IDLE = {"supervisor": "embedded = false"}  # nobody has to run these jobs

# Run with the site's configuration, the number of jobs and how many of them are EXECUTING.
_FILL = """
import sys
from datetime import timedelta
from pathlib import Path
from opus_core import job as jobs
from opus_core.app import open_opus
from opus_core.config import load
from opus_core.job import DefinitionRef, Job, Phase, Work, new_id

count, executing = int(sys.argv[2]), int(sys.argv[3])
opus = open_opus(load(Path(sys.argv[1])))
begin = jobs.now() - timedelta(days=1)
for number in range(count):
    phase = Phase.EXECUTING if number % (count // executing) == 7 else Phase.COMPLETED
    opus.storage.add(Job(
        id=new_id(), definition=DefinitionRef("nothing", 1), phase=phase, work=Work.NONE,
        created=begin + timedelta(milliseconds=number), manager="local", run_id=f"run {number}"))
opus.close()
"""


def figures(quick: bool) -> Iterator[Figure]:
    """The short lists of a small and of a large site in turns; then the whole list."""
    count = LARGE // 10 if quick else LARGE
    with new_site(**_IDLE) as small, new_site(**_IDLE) as large:
        fill(small, SMALL)
        fill(large, count)
        with small.serve(), large.serve():
            yield from _short(small, large, count)
        with large.serve() as pid:
            yield from _whole(large, pid, count)
        with large.serve():
            yield _slow_readers(large)


def fill(site: Site, count: int) -> None:
    """Store that many jobs through the storage itself."""
    command = [sys.executable, "-c", _FILL, str(site.config), str(count), str(SHOWN)]
    done = subprocess.run(command, cwd=site.folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"the jobs could not be stored: {done.stderr.strip()[-300:]}")


def _short(small: Site, large: Site, count: int) -> Iterator[Figure]:
    ratio, note = _compared(small, large, f"LAST={SHOWN}", count)
    yield Figure("list LAST=20, many / 1,000 jobs", ratio, "x", ceiling=1.5, note=note)
    ratio, note = _compared(small, large, "PHASE=EXECUTING", count)
    yield Figure("list PHASE, many / 1,000 jobs", ratio, "x", ceiling=1.5, note=note)


def _compared(small: Site, large: Site, query: str, count: int) -> tuple[float, str]:
    """How much longer the large site takes to answer, and how long that is."""
    times: dict[Site, list[float]] = {small: [], large: []}
    requests = {site: get(f"{site.job_list()}?{query}") for site in times}
    for request in requests.values():
        found = len(JOBREF.findall(ask(request).body))
        if found != SHOWN:
            raise Failed(f"the list with {query} has {found} jobs, not {SHOWN}")
    for _ in range(_ROUNDS):
        for site, measured in times.items():
            measured.append(load(requests[site], number=200, connections=1)["p50"])
    ratio = statistics.median(
        mine / theirs for mine, theirs in zip(times[large], times[small], strict=True)
    )
    return ratio, f"{1000 * statistics.median(times[large]):.1f} ms with {count:,} jobs"


@dataclass(frozen=True)
class _Reading:
    first: float  # [s] to the first byte
    whole: float  # [s]
    size: int  # [byte]


def _read(site: Site, count: int) -> _Reading:
    begin = time.perf_counter()
    connection = connect(site.url)
    try:
        connection.request("GET", "/rest/nothing")
        response = connection.getresponse()
        data = [response.read(1)]
        first = time.perf_counter() - begin
        while piece := response.read(1 << 20):
            data.append(piece)
        whole = time.perf_counter() - begin
    finally:
        connection.close()
    text = b"".join(data)
    found = len(JOBREF.findall(text))
    if response.status != 200 or found != count:
        raise Failed(f"the whole list is answered {response.status} with {found} jobs, not {count}")
    return _Reading(first, whole, len(text))


def _whole(site: Site, pid: int, count: int) -> Iterator[Figure]:
    ask(get(f"{site.job_list()}?LAST=1"))  # whatever is loaded with the first request
    growth = Growth(pid)
    readings = [_read(site, count)]
    gained = growth.mib
    readings += [_read(site, count) for _ in range(_ROUNDS - 1)]
    note = f"{count:,} jobs, {readings[0].size / 1e6:.1f} MB"
    whole = statistics.median(one.whole for one in readings)
    first = 1000 * statistics.median(one.first for one in readings)
    yield Figure("whole list", whole, "s", ceiling=1.8, note=note)
    yield Figure("whole list, first byte", first, "ms", ceiling=50)
    yield Figure("whole list, memory", gained, "MiB", ceiling=30)


def _slow_readers(site: Site) -> Figure:
    """They ask for the whole list and read none of it."""
    with ExitStack() as stack:
        for _ in range(10):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", site.port)))
            one.sendall(get(site.job_list()).text().encode())
        time.sleep(1)
        answer = load(get(f"{site.job_list()}?LAST={SHOWN}"), number=100, connections=2)
    return Figure("LAST=20 p99 beside ten slow readers", 1000 * answer["p99"], "ms", ceiling=200)
