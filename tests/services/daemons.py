"""Daemons that tests start for themselves, and harm: end, kill, pause, start again."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_STARTS = 60.0  # [s] that a daemon may take until it serves, on a busy machine
_ENDS = 30.0  # [s] that it may take to end when asked to


class ServiceError(Exception):
    """A service did not do what it should; with what was said about it."""


@dataclass(frozen=True)
class Process:
    """A process by its pid and the moment of its start: pids are given out again."""

    pid: int
    born: int  # [clock ticks] since the machine started

    @classmethod
    def of(cls, pid: int) -> Process | None:
        stat = _stat(pid)
        return cls(pid, int(stat[19])) if stat else None

    @property
    def name(self) -> str:
        return _read(self.pid, "comm").decode(errors="replace").strip()

    @property
    def environment(self) -> list[bytes]:
        return _read(self.pid, "environ").split(b"\0")

    def send(self, number: signal.Signals) -> None:
        """Signal it, unless it has ended."""
        with self._handle() as handle:
            if handle is not None:
                signal.pidfd_send_signal(handle, number)

    def ended(self, within: float) -> bool:
        """Wait up to so many seconds for its end."""
        with self._handle() as handle:
            if handle is None:
                return True
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            return bool(poll.poll(within * 1000))

    @contextmanager
    def _handle(self) -> Iterator[int | None]:
        """A descriptor that is this very process, whatever becomes of its pid; None after its
        end."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            # Read after the descriptor was opened: it cannot be about a later process.
            yield handle if Process.of(self.pid) == self else None
        except ProcessLookupError:
            pass  # it ended before the signal came
        finally:
            os.close(handle)


def processes() -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (found := Process.of(int(entry.name))):
            yield found


def descendants(ancestor: Process) -> list[Process]:
    """All children, their children and so on, as far as their parents still live."""
    children: dict[int, list[Process]] = {}
    for one in processes():
        if stat := _stat(one.pid):
            children.setdefault(int(stat[1]), []).append(one)
    found: list[Process] = []
    todo = [ancestor.pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += [one.pid for one in below]
    return found


def end(these: Iterable[Process], number: signal.Signals, seconds: float) -> list[Process]:
    """Signal them, also the paused ones; answers who is still there after that time."""
    these = list(these)
    for one in these:
        one.send(number)
        one.send(signal.SIGCONT)
    deadline = time.monotonic() + seconds
    return [one for one in these if not one.ended(max(0, deadline - time.monotonic()))]


def _read(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:  # it has ended, or is nobody's business
        return b""


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat behind the name, which may hold blanks and parentheses."""
    text = _read(pid, "stat").decode(errors="replace")
    return text.rpartition(")")[2].split() or None


@dataclass
class Daemons:
    """The daemons of one service: pids are in run/, logs in log/ of its folder."""

    folder: Path
    _children: dict[str, subprocess.Popen[bytes]] = field(
        init=False, repr=False, default_factory=dict
    )

    @property
    def names(self) -> list[str]:
        """In the order in which they start."""
        raise NotImplementedError

    def command(self, name: str) -> tuple[list[str], Callable[[], bool]]:
        """What to run, and a question that is answered with yes when it serves."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    # -- what a test does to one

    def start(self, name: str) -> None:
        """Start a daemon, unless it runs, and return when it serves."""
        if self.running(name):
            return
        self._forget(name)
        command, serves = self.command(name)
        with (self.folder / f"log/{name}.out").open("ab") as out:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                env=self.environment(),
                start_new_session=True,  # a ^C is for the tests, who then end it
                umask=0o022,
            )
        self._children[name] = child
        process = Process.of(child.pid)
        assert process, "a child stays until it is waited for"
        self._pid_file(name).write_text(f"{process.pid} {process.born}\n")
        deadline = time.monotonic() + _STARTS
        while not serves():
            if process.ended(within=0.05):
                raise ServiceError(f"{name} has ended: {self.tail(name)}")
            if time.monotonic() > deadline:
                raise ServiceError(f"{name} does not serve after {_STARTS:g} s: {self.tail(name)}")

    def stop(self, name: str) -> None:
        """Let it end."""
        self._end(self._known(name), signal.SIGTERM)

    def kill(self, name: str) -> None:
        """kill -9."""
        self._end(self._known(name), signal.SIGKILL)

    def pause(self, name: str) -> None:
        """Let it hang."""
        for one in self.members(self._known(name)):
            one.send(signal.SIGSTOP)

    def cont(self, name: str) -> None:
        """Let a paused one go on."""
        for one in self.members(self._known(name)):
            one.send(signal.SIGCONT)

    def running(self, name: str) -> bool:
        """Whether it lives, if only paused."""
        process = self.process(self._known(name))
        return process is not None and not process.ended(within=0)

    # -- about them

    def process(self, name: str) -> Process | None:
        try:
            pid, born = self._pid_file(name).read_text().split()
        except (OSError, ValueError):  # not started, or killed while it wrote
            return None
        return Process(int(pid), int(born))

    def members(self, name: str) -> list[Process]:
        """The processes that are this daemon."""
        process = self.process(name)
        return [process] if process else []

    def tail(self, name: str) -> str:
        """What a daemon said last."""
        said = ""
        for kind in ("out", "log"):
            file = self.folder / f"log/{name}.{kind}"
            if file.exists():
                said += f"\n{file}:\n{file.read_text(errors='replace')[-1500:]}"
        return said

    def end_all(self, names: Iterable[str]) -> None:
        """kill -9 these and all that they have started, also where nothing else would help."""
        held = {name: process for name in names if (process := self.process(name))}
        for one in held.values():
            one.send(signal.SIGSTOP)  # lest they start more meanwhile
        below = [one for top in held.values() for one in descendants(top)]
        if left := end([*held.values(), *below], signal.SIGKILL, _ENDS):
            raise ServiceError(f"not even kill -9 ends {left}")
        for name in held:
            self._forget(name)

    def _known(self, name: str) -> str:
        if name not in self.names:
            raise ValueError(f"no daemon {name}; there are {', '.join(self.names)}")
        return name

    def _pid_file(self, name: str) -> Path:
        return self.folder / f"run/{name}.pid"

    def _end(self, name: str, number: signal.Signals) -> None:
        those = self.members(name)
        if end(those, number, _ENDS) and end(those, signal.SIGKILL, _ENDS):
            raise ServiceError(f"{name} does not end: {self.tail(name)}")
        self._forget(name)

    def _forget(self, name: str) -> None:
        """Let it go after its end, so that it is no zombie."""
        self._pid_file(name).unlink(missing_ok=True)
        if child := self._children.pop(name, None):
            child.wait()
