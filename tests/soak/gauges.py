"""What processes use, and which processes are a site's jobs, as /proc tells."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

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
    """What it has in memory [MiB]."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


@dataclass
class Gauge(threading.Thread):
    """Looks at one process twice a second."""

    pid: int
    memory: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(name="gauge", daemon=True)
        self.stopping = threading.Event()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not self.stopping.wait(0.5):
            self.memory.append(memory(self.pid))
            self.descriptors.append(descriptors(self.pid))
            self.threads.append(threads(self.pid))

    def trends(self) -> dict[str, tuple[float, float]]:
        """The middle values of the third and of the last quarter, by what is measured."""
        found = {}
        for name in ("memory", "descriptors", "threads"):
            values = getattr(self, name)
            quarter = max(1, len(values) // 4)
            found[name] = (median(values[2 * quarter : 3 * quarter]), median(values[-quarter:]))
        return found
