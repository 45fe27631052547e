"""What processes use, and which processes are a site's jobs, as /proc tells."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression

from servers import Site

_TICKS = os.sysconf("SC_CLK_TCK")


def job_processes(site: Site) -> list[tuple[int, str]]:
    """Living processes that carry a tag of a job of this site, with the job's id."""
    word = json.loads((site.folder / "data" / "instance").read_text())["word"]
    mark = f"OPUS_TAG=opus-{word}-".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            environment = (entry / "environ").read_bytes()  # empty for a zombie
        except OSError:
            continue
        if mark in environment:
            job_id = environment.partition(mark)[2].partition(b"\0")[0].decode()
            found.append((int(entry.name), job_id))
    return found


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def cpu(pid: int) -> float:
    """Seconds of processor time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid: int) -> float:
    """What it has in memory of its own, and its share of what it has with others (PSS) [MiB]."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 2**10
    raise AssertionError(f"process {pid} has no PSS")


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


@dataclass(frozen=True)
class Trend:
    """A straight line through what was measured, after the first third of the time."""

    begin: float
    end: float
    worst: float

    @property
    def rise(self) -> float:
        return self.end - self.begin

    def __str__(self) -> str:
        return f"{self.begin:.1f}, then {self.end:.1f}, at most {self.worst:.1f}"


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """By linear regression; caches fill in the first third, which does not count."""
    first = next(place for place, time in enumerate(times) if time >= times[-1] / 3)
    times, values = times[first:], values[first:]
    slope, intercept = linear_regression(times, values)
    begin, end = (intercept + slope * time for time in (times[0], times[-1]))
    return Trend(begin=begin, end=end, worst=max(values))


class Gauge(threading.Thread):
    """Looks at one process twice a second. `kept`: what of its memory is not to count [MiB]."""

    def __init__(self, pid: int, kept: Callable[[int], float] = lambda pid: 0.0) -> None:
        super().__init__(name="gauge", daemon=True)
        self.pid, self.kept = pid, kept
        self.stopping = threading.Event()
        self.times: list[float] = []
        self.samples: dict[str, list[float]] = {name: [] for name in _MEASURES}

    def run(self) -> None:
        begin = time.monotonic()
        while not self.stopping.wait(0.5):
            self.times.append(time.monotonic() - begin)
            for name, measure in _MEASURES.items():
                self.samples[name].append(measure(self.pid))
            self.samples["memory"][-1] -= self.kept(self.pid)

    def trends(self) -> dict[str, Trend]:
        """By what is measured."""
        return {name: trend(self.times, values) for name, values in self.samples.items()}


_MEASURES: dict[str, Callable[[int], float]] = {
    "memory": memory,
    "descriptors": descriptors,
    "threads": threads,
}
