"""The machine that figures are of: what of it decides how fast anything is, and no name."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_KIB_PER_GIB = 1024**2


@dataclass(frozen=True)
class Machine:
    processor: str
    cores: int  # that this process may use
    memory: float  # [GiB]
    system: str
    python: str


def this_machine() -> Machine:
    """As /proc has it. What a distribution or a host adds to the version of its kernel is left
    out."""
    kernel = re.match(r"[\d.]*\d", platform.release())
    return Machine(
        processor=_processor(Path("/proc/cpuinfo").read_text()),
        cores=len(os.sched_getaffinity(0)),
        memory=_memory(Path("/proc/meminfo").read_text()),
        system=f"{platform.system()} {kernel[0] if kernel else ''}".strip(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
    )


def _processor(cpuinfo: str) -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    # Other architectures than x86 have no line of that name.
    name = found[1] if found else platform.machine()
    return " ".join(re.sub(r"\((?:R|TM)\)", "", name).split())


def _memory(meminfo: str) -> float:
    found = re.search(r"^MemTotal:\s*(\d+) kB$", meminfo, re.MULTILINE)
    assert found is not None
    return int(found[1]) / _KIB_PER_GIB


@dataclass(frozen=True)
class Moment:
    """When, and how much the machine had to do: tasks that ran or wanted to, over a minute."""

    at: datetime
    load: float

    @classmethod
    def now(cls) -> Moment:
        return cls(datetime.now(UTC), os.getloadavg()[0])
