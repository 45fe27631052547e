"""Commands of SLURM on this machine, and job folders that the cluster sees as it does."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import ClassVar, Final

from opus_core import links
from opus_core.backends import Task
from opus_core.errors import ConfigError, SubmitDeferred
from opus_core.links import Links
from opus_manager_slurm.exchange import Answer, answer
from opus_manager_slurm.options import SlurmOptions
from opus_manager_slurm.transport import MakeScript, Transport

# What commands of SLURM may want of the server's environment; a variable such as SBATCH_TIMELIMIT
# would change what is submitted.
_KEPT: Final = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SLURM_CONF",
    "LD_LIBRARY_PATH",
    "XDG_RUNTIME_DIR",
)

# No time zone has a say, and errors are in the language that they are recognised in.
SETTINGS: Final[Mapping[str, str]] = {"SLURM_TIME_FORMAT": "%s", "LC_ALL": "C"}


class LocalTransport(Transport):
    """`transport = "local"`."""

    parallel: ClassVar[int] = 8

    def __init__(self, options: SlurmOptions) -> None:
        self._options = options

    def user(self) -> str:
        return pwd.getpwuid(os.geteuid()).pw_name

    def run(self, command: Sequence[str]) -> Answer:
        return answer(command, seconds=self._options.timeout, env=_environment())

    def submit(self, task: Task, command: Sequence[str], script: MakeScript) -> Answer:
        if not (task.folder / "run").is_file():
            raise SubmitDeferred(f"there is no job in the folder {task.folder}")
        text = script(PurePosixPath(task.folder.resolve()))
        return answer(
            command, feed=(text.encode(),), seconds=self._options.timeout, env=_environment()
        )

    def peek(self, tasks: Sequence[Task]) -> dict[str, Links]:
        return {task.ref.tag: links.peek(task.folder) for task in tasks}

    def seal(self, task: Task) -> Links:
        return links.seal(task.folder)

    def get_output(self, tasks: Sequence[Task]) -> None:
        """It is where it is read."""

    def get_results(self, task: Task) -> None:
        """They are where they belong."""

    def remove(self, task: Task) -> None:
        """Nothing of it lies elsewhere."""

    def check(self) -> None:
        for name in ("sbatch", "squeue", "scancel", "scontrol"):
            command = self._options.command(name)
            if not shutil.which(command):
                raise ConfigError(
                    f"there is no {command} on this machine; put it on the PATH, name it in"
                    " [manager.commands], or set [manager] host to a login node"
                )

    def close(self) -> None:
        """Nothing is open."""


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, **SETTINGS}
