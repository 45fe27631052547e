"""Jobs on a SLURM cluster: the settings, and a `check` that says what this release cannot do.

Submitting comes with the next release. Until then no job gets here, because a server that selects
this manager does not start; and whoever calls it all the same hears that nothing was asked.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from opus_core.backends import Manager, Ref, Status, Task
from opus_core.errors import BackendUnavailable, ConfigError


def _help(sentence: str) -> dict[str, str]:
    return {"help": sentence}


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmOptions:
    """What the rest of `[manager]` may say."""

    transport: Literal["local", "ssh"] | None = field(
        default=None,
        metadata=_help(
            "Where the commands of SLURM run: on this machine, or on a login node by ssh; "
            "absent: ssh if there is a host."
        ),
    )
    host: str | None = field(default=None, metadata=_help("The login node."))
    user: str | None = field(
        default=None, metadata=_help("The account there; absent: as ssh is configured.")
    )
    account: str | None = field(default=None, metadata=_help("The account that jobs charge."))
    partition: str | None = field(default=None, metadata=_help("The partition jobs go to."))
    qos: str | None = field(default=None, metadata=_help("The quality of service of jobs."))
    cluster: str | None = field(
        default=None, metadata=_help("The cluster, where one SLURM knows several.")
    )
    commands: Mapping[str, str] = field(
        default_factory=dict,
        metadata=_help('Names or paths of commands, such as sbatch = "/opt/slurm/bin/sbatch".'),
    )

    def __post_init__(self) -> None:
        if self.transport == "ssh" and not self.host:
            raise ValueError('transport = "ssh" needs the key host: the login node')
        if self.transport == "local" and self.host:
            raise ValueError(
                f'transport = "local" runs the commands here, not on {self.host}; leave out one'
            )
        if self.user and not self.host:
            raise ValueError("user names an account on a login node, and there is no host")

    @property
    def remote(self) -> bool:
        """Whether commands run on the login node."""
        return bool(self.host)


class SlurmManager(Manager):
    """Refuses to be selected, for now; see the head of this module."""

    name = "slurm"
    about = "jobs on a SLURM cluster, here or over ssh (cannot submit yet in this release)"
    Options = SlurmOptions

    options: SlurmOptions

    def check(self) -> None:
        """Raise `ConfigError`: always, and with what is known of sbatch."""
        raise ConfigError(
            "the slurm manager of this release cannot submit jobs yet; select another by use in "
            f"[manager], such as local ({self._sbatch()})"
        )

    def start(self, task: Task) -> NoReturn:
        self._refuse("submitted")

    def find(self, tags: Sequence[str]) -> dict[str, tuple[str, ...]]:
        self._refuse("looked for")

    def get_status(self, refs: Sequence[Ref]) -> dict[Ref, Status]:
        self._refuse("asked")

    def abort(self, ref: Ref) -> None:
        self._refuse("aborted")

    def _sbatch(self) -> str:
        if self.options.remote:
            return f"{self.options.host} was not asked for sbatch"
        command = self.options.commands.get("sbatch", "sbatch")
        found = shutil.which(command)
        return f"{command} is at {found}" if found else f"there is no {command} on this machine"

    def _refuse(self, what: str) -> NoReturn:
        raise BackendUnavailable(
            f"nothing was {what}: the slurm manager of this release has no way to a cluster yet"
        )
