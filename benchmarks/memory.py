"""What a process takes and gains of memory, as /proc tells."""

from __future__ import annotations

from pathlib import Path


def used(pid: int) -> float:
    """Memory of a process, its part of what it shares with others (PSS) [MiB]."""
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss") / 1024


class Growth:
    """How far the memory of a process rises above what it has now.

    To be begun on a fresh server: one that has done the same before has the room already, and
    would seem to need none.
    """

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
        self._before = _kilobytes(self._status, "VmRSS")

    @property
    def mib(self) -> float:
        """From then on to the peak."""
        return (_kilobytes(self._status, "VmHWM") - self._before) / 1024


def _kilobytes(path: Path, key: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise ValueError(f"{path} has no {key}")
