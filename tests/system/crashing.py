"""`opus serve` or `opus supervise` that kills itself with SIGKILL at one labelled point.

    crashing.py --at LABEL --config FILE serve|supervise

The labels are those of the protocol, one entry of `POINTS` each: they wrap one method of the
opened installation, so that nothing in the product knows of them.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opus_core import cli, links
from opus_core.app import Opus
from opus_core.commands import serve, supervise
from opus_core.folder import Folders
from opus_core.job import Job, Work

FLAG = "crashed"


def die(folder: Path) -> None:
    """As by kill -9, at once; leaves a file behind that says that it was here."""
    (folder / FLAG).touch()
    os.kill(os.getpid(), signal.SIGKILL)


def after(
    owner: Any, name: str, die_if: Callable[[Any, tuple[Any, ...]], bool], kill: Callable[[], None]
) -> None:
    """Die when `owner.name` has returned something that fits."""
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        if die_if(answer, args):
            kill()
        return answer

    object.__setattr__(owner, name, wrapped)


def saved(work: Work) -> Callable[[Any, Any], bool]:
    return lambda job, args: isinstance(job, Job) and job.work is work and not job.marks


def link_made(opus: Opus, made: Callable[[links.Links], bool], kill: Callable[[], None]) -> None:
    """Die as soon as a link is seen in any job's folder."""

    def watch() -> None:
        seen = threading.Event()
        while not seen.wait(0.001):
            for folder in opus.folders.root.glob("??/[0-9a-f]*"):
                if made(links.peek(folder)):
                    kill()

    threading.Thread(target=watch, daemon=True).start()


def always(answer: Any, args: Any) -> bool:
    return True


def hang_and_die(opus: Opus, kill: Callable[[], None]) -> None:
    """Die during `start`, once an ABORT has been saved."""
    original = opus.manager.start

    def start(task: Any) -> str:
        native_id = original(task)
        while not opus.storage.read(task.job_id, doomed=True).abort_requested:
            threading.Event().wait(0.01)
        kill()
        return native_id

    object.__setattr__(opus.manager, "start", start)


def run_committed(opus: Opus, kill: Callable[[], None]) -> None:
    """With the job itself, or later by PHASE=RUN."""
    for method in ("add", "save"):
        after(opus.storage, method, saved(Work.WANTED), kill)


def half_fetched(opus: Opus, kill: Callable[[], None]) -> None:
    """Die when the first of several results has been collected."""
    original = opus.folders.open_file
    opened: list[str] = []

    def open_file(job_id: str, *parts: str) -> Any:
        if parts[0] == "results":
            if opened:
                kill()
            opened.append(parts[1])
        return original(job_id, *parts)

    object.__setattr__(opus.folders, "open_file", open_file)


POINTS: dict[str, Callable[[Opus, Callable[[], None]], None]] = {
    "RUN committed": run_committed,
    "folder written": lambda o, kill: after(o.folders, "write", always, kill),
    "STARTING saved": lambda o, kill: after(o.storage, "save", saved(Work.STARTING), kill),
    "scheduler has it, id not saved": lambda o, kill: after(o.manager, "start", always, kill),
    "id saved": lambda o, kill: after(o.storage, "save", saved(Work.LIVE), kill),
    "claim made": lambda o, kill: link_made(o, lambda one: one.claimed, kill),
    "started": lambda o, kill: link_made(o, lambda one: one.begun, kill),
    "exit made": lambda o, kill: link_made(o, lambda one: one.exit is not None, kill),
    "end saved": lambda o, kill: after(o.storage, "save", saved(Work.ENDED), kill),
    "results half fetched": half_fetched,
    "results in place": lambda o, kill: after(o.folders, "note_results", always, kill),
    "cluster has forgotten it": lambda o, kill: after(o.manager, "delete", always, kill),
    "abort_requested": lambda o, kill: after(
        o.storage, "save", lambda job, args: job.abort_requested, kill
    ),
    "abort sent": lambda o, kill: after(o.manager, "abort", always, kill),
    "ABORT during start": hang_and_die,
    "doomed": lambda o, kill: after(o.storage, "save", lambda job, args: job.doomed, kill),
    "folder removed": lambda o, kill: after(o.folders, "remove", always, kill),
    "row deleted": lambda o, kill: after(o.storage, "delete", always, kill),
}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", required=True, choices=POINTS)
    own, rest = parser.parse_known_args()

    for module in (serve, supervise):
        opened = module.open_opus

        def open_crashing(config: Any, opened: Callable[..., Opus] = opened, **how: Any) -> Opus:
            opus = opened(config, **how)
            # Instances have no slots for methods; what is wrapped is this one instance alone.
            assert isinstance(opus.folders, Folders)
            POINTS[own.at](opus, lambda: die(config.base))
            return opus

        module.open_opus = open_crashing
    return cli.main(rest)


if __name__ == "__main__":
    sys.exit(main())
