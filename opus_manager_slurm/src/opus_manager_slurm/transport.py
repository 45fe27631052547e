"""The way to a cluster: where commands run, and where the folders of jobs lie."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import ClassVar

from opus_core.backends import Task
from opus_core.links import Links
from opus_manager_slurm.exchange import Answer

MakeScript = Callable[[PurePosixPath], str]
"""Makes the batch script of a job from its folder, as the cluster sees that."""


class Transport(ABC):
    """`local` and `ssh`. Every method raises `BackendUnavailable` where there is no answer."""

    parallel: ClassVar[int]

    @abstractmethod
    def user(self) -> str:
        """The account that jobs run under."""

    @abstractmethod
    def run(self, command: Sequence[str]) -> Answer:
        """Run a command of SLURM that belongs to no job."""

    @abstractmethod
    def submit(self, task: Task, command: Sequence[str], script: MakeScript) -> Answer:
        """Have the job's folder on the cluster and run sbatch there, the script on its input.

        Raises `SubmitDeferred` if the folder cannot be had there, since then sbatch was not run.
        """

    @abstractmethod
    def peek(self, tasks: Sequence[Task]) -> dict[str, Links]:
        """As `Manager.peek`."""

    @abstractmethod
    def seal(self, task: Task) -> Links:
        """As `Manager.seal`."""

    @abstractmethod
    def get_output(self, tasks: Sequence[Task]) -> None:
        """As `Manager.get_output`."""

    @abstractmethod
    def get_results(self, task: Task) -> None:
        """As `Manager.get_results`."""

    @abstractmethod
    def remove(self, task: Task) -> None:
        """As `Manager.delete`."""

    @abstractmethod
    def check(self) -> None:
        """Raise `ConfigError` if this way cannot work here."""

    @abstractmethod
    def close(self) -> None:
        """Give back what was opened."""
