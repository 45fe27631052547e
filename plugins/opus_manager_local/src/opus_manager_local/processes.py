"""Processes of this machine by identities that are never given out twice, and their trees."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from opus_core.process import boot_id

_PIECE: Final = 2**14  # [byte]


class Stat(NamedTuple):
    """What /proc says of a process, as far as it matters here."""

    state: str
    parent: int
    session: int
    start: int  # [clock ticks since boot]

    @property
    def zombie(self) -> bool:
        """It has ended, and only waits to be reaped."""
        return self.state in "ZXx"


def read_stat(pid: int) -> Stat | None:
    """None if there is no such process."""
    try:
        text = _read(f"/proc/{pid}/stat").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name, in parentheses, may hold anything: what follows the last one counts.
    fields = text.rpartition(")")[2].split()
    return Stat(
        state=fields[0], parent=int(fields[1]), session=int(fields[3]), start=int(fields[19])
    )


@dataclass(frozen=True, slots=True)
class Process:
    """One process, written `boot id/pid/start time`."""

    boot: str
    pid: int
    start: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what `str` wrote; None if that is nothing of the kind."""
        boot, _, rest = text.partition("/")
        pid, _, start = rest.partition("/")
        if not boot or not pid.isdecimal() or not start.isdecimal():
            return None
        return cls(boot, int(pid), int(start))

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this pid now, even as a zombie."""
        stat = read_stat(pid)
        return cls(boot_id(), pid, stat.start) if stat else None

    def __str__(self) -> str:
        return f"{self.boot}/{self.pid}/{self.start}"

    @property
    def alive(self) -> bool:
        """It runs: same boot, pid and start time, and no zombie."""
        stat = read_stat(self.pid)
        return (
            stat is not None
            and stat.start == self.start
            and not stat.zombie
            and self.boot == boot_id()
        )

    def open(self) -> int | None:
        """A pidfd of it, also as a zombie; None if it is gone. The caller closes it."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        # Looked at after opening: from now on the handle stays with whoever it is.
        stat = read_stat(self.pid)
        if stat is not None and stat.start == self.start and self.boot == boot_id():
            return handle
        os.close(handle)
        return None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process and never to another; nothing happens if it is gone."""
        handle = self.open()
        if handle is None:
            return
        try:
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def tree(tag: str, leader: Process | None) -> list[Process]:
    """All that belongs to a job and lives: what has its tag in the environment, is in the session
    of `leader` while that lives, or descends from such a process. The leader comes first.

    A process that was given another environment and has outlived its parents is not found.
    """
    boot = boot_id()
    stats = {pid: stat for pid in _pids() if (stat := read_stat(pid)) and not stat.zombie}
    wanted = f"OPUS_TAG={tag}".encode()
    session = leader.pid if leader is not None and leader.alive else None
    members = {
        pid for pid, stat in stats.items() if stat.session == session or wanted in _environment(pid)
    }
    members.discard(os.getpid())
    children: dict[int, list[int]] = {}
    for pid, stat in stats.items():
        children.setdefault(stat.parent, []).append(pid)
    ahead = list(members)
    while ahead:
        for child in children.get(ahead.pop(), ()):
            if child not in members:
                members.add(child)
                ahead.append(child)
    found = [Process(boot, pid, stats[pid].start) for pid in members]
    return sorted(found, key=lambda process: (process != leader, process.pid))


def kill_tree(tag: str, leader: Process | None, seconds: float) -> bool:
    """KILL all that `tree` finds until nothing is found; False if that took too long."""
    deadline = time.monotonic() + seconds
    while found := tree(tag, leader):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        for process in found:
            process.send(signal.SIGKILL)
        _wait(found, left)
    return True


def reap(handle: int) -> None:
    """Take a zombie of ours off the kernel's hands; nothing happens if it is another's child."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, handle, os.WEXITED | os.WNOHANG)


def _wait(processes: Iterable[Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for process in processes:
        handle = process.open()
        if handle is None:
            continue
        try:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        finally:
            os.close(handle)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _environment(pid: int) -> list[bytes]:
    try:
        return _read(f"/proc/{pid}/environ").split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []  # gone, or another user's and so no job of ours


def _read(path: str) -> bytes:
    """A file of the kernel's, which says 0 of its length; without what a buffer costs."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = []
        while piece := os.read(handle, _PIECE):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(handle)
