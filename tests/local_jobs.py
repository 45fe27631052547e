"""Jobs of the local manager, as its tests start them and wait for them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from opus_core import links
from opus_core.backends import Kind, Status, Task
from opus_manager_local import LocalManager
from opus_manager_local.processes import Process

Make = Callable[..., LocalManager]
Prepare = Callable[..., Task]


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def status(manager: LocalManager, task: Task) -> Status:
    return manager.get_status([task.ref])[task.ref]


def wait_end(manager: LocalManager, task: Task) -> Status:
    seen: list[Status] = []

    def ended() -> bool:
        seen.append(status(manager, task))
        return seen[-1].kind is Kind.ENDED

    wait_for(ended)
    return seen[-1]


def begun(task: Task) -> bool:
    return links.peek(task.folder).begun


def number_in(path: Path) -> int:
    wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def alive(pid: int) -> bool:
    process = Process.of(pid)
    return process is not None and process.alive


def wrapper(task: Task) -> Process:
    """The wrapper that holds the claim."""
    wait_for(lambda: links.peek(task.folder).begun)
    claim = Process.parse(str(links.peek(task.folder).claimant).partition("/")[2])
    assert claim is not None
    return claim


def buried() -> bool:
    """Reap what children have ended; True when there are none."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            continue
    except ChildProcessError:
        return True
    return False
