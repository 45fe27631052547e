"""Jobs of OPUS are run by the queue in our cellar."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from opus_core.backends import Cause, Kind, Manager, Ref, Status, Task
from opus_core.errors import BackendUnavailable, ConfigError


@dataclass(frozen=True, kw_only=True)
class CellarOptions:
    """The keys of `[manager]` beside `use = "cellar"`."""

    folder: Path | None = field(
        default=None,
        metadata={"help": "The folder of the queue; absent: CELLAR in the environment says it."},
    )
    program: str = field(default="cellar", metadata={"help": "The command of the queue."})
    timeout: float = field(
        default=20.0,
        metadata={"help": "How long the queue has to answer.", "unit": "seconds", "least": 1},
    )


class CellarManager(Manager):
    """Each method is one command of the queue; nothing is remembered here."""

    name = "cellar"
    about = "Jobs of OPUS are run by the queue in our cellar"
    Options = CellarOptions
    poll_interval = 1.0

    def check(self) -> None:
        """Raise `ConfigError` if the command is not there."""
        if shutil.which(self.options.program) is None:
            raise ConfigError(
                f"[manager] program = {self.options.program!r}: there is no such command"
            )

    def _cellar(self, *words: str) -> str:
        """What a command of the queue prints. Raises `BackendUnavailable`."""
        folder = self.options.folder
        try:
            done = subprocess.run(
                [self.options.program, *words],
                env={**os.environ, **({"CELLAR": str(folder)} if folder else {})},
                capture_output=True,
                text=True,
                timeout=self.options.timeout,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            raise BackendUnavailable(f"the queue refuses: {error.stderr.strip()}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackendUnavailable(f"the queue does not answer: {error}") from error
        return done.stdout

    # OPUS_CLAIMANT tells this submission from any other of the same job; the number of the job in
    # the queue does, and the queue puts it into the job's environment.
    _RUN = 'OPUS_CLAIMANT=$CELLAR_JOB OPUS_GRACE=2 exec bash "$0"'

    def start(self, task: Task) -> str:
        """Submit the wrapper, under the tag as its name."""
        run = str(task.folder / "run")
        return self._cellar("submit", "--name", task.ref.tag, "bash", "-c", self._RUN, run).strip()

    def find(self, tags: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The queue lists its jobs in the order of their numbers."""
        listed = self._listed()
        return {
            tag: tuple(number for number, (name, *_) in listed.items() if name == tag)
            for tag in tags
        }

    def _listed(self) -> dict[str, tuple[str, str, str]]:
        """All that the queue knows: name, state and exit code by number."""
        found = {}
        for line in self._cellar("list").splitlines():
            number, name, state, code = line.split()
            found[number] = (name, state, code)
        return found

    def get_status(self, refs: Sequence[Ref]) -> dict[Ref, Status]:
        """One question for all."""
        listed = self._listed()
        return {ref: _status(listed, ref) for ref in refs}

    def abort(self, ref: Ref) -> None:
        """Kill what has this tag, and this number if one is known."""
        for number, (name, *_) in self._listed().items():
            if name == ref.tag and ref.native_id in (None, number):
                self._cellar("kill", number)

    def delete(self, task: Task) -> None:
        """Let the queue forget all that was submitted under the tag."""
        for number, (name, *_) in self._listed().items():
            if name == task.ref.tag:
                self._cellar("forget", number)


def _status(listed: dict[str, tuple[str, str, str]], ref: Ref) -> Status:
    """What the queue says of a submission, in the words of OPUS."""
    for number, (name, state, code) in listed.items():
        if name == ref.tag and ref.native_id in (None, number):
            return _in_our_words(state, code)
    return Status(kind=Kind.GONE)


def _in_our_words(state: str, code: str) -> Status:
    match state:
        case "waiting":
            return Status(kind=Kind.QUEUED, native_state=state)
        case "running":
            return Status(kind=Kind.RUNNING, native_state=state)
        case "killed":
            return Status(kind=Kind.ENDED, cause=Cause.CANCELLED, native_state=state)
        case "lost":
            return Status(kind=Kind.ENDED, cause=Cause.NODE, native_state=state)
        case "done":
            number = int(code)
            return Status(
                kind=Kind.ENDED,
                cause=Cause.OK if number == 0 else Cause.FAILED,
                native_state=state,
                exit_code=number if number >= 0 else None,
                signal=-number if number < 0 else None,
            )
    return Status(kind=Kind.UNRECOGNISED, native_state=state)
