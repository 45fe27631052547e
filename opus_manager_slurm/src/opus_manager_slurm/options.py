"""What an admin may set for the SLURM manager: the rest of the table `[manager]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from opus_core.definition import ParameterDescription
from opus_manager_slurm.limits import Limit, parse_limits

COMMANDS: Final = ("sbatch", "squeue", "sacct", "scancel", "scontrol")

# One option of sbatch as `#SBATCH` takes it.
_OPTION: Final = re.compile(r"--[a-z][a-z-]*(=[^\s\"'\\#]+)?")
_WORD: Final = re.compile(r"[A-Za-z0-9_.@:/+-]+")
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")


def _help(sentence: str, **metadata: object) -> dict[str, object]:
    return {"help": sentence, **metadata}


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmOptions:
    """The settings; `opus_manager_slurm.limits` explains `run_options`."""

    # -- the way to the cluster
    transport: Literal["local", "ssh"] | None = field(
        default=None,
        metadata=_help(
            "Where the commands of SLURM run: on this machine, or on a login node by ssh; "
            "absent: ssh if there is a host."
        ),
    )
    host: str | None = field(
        default=None, metadata=_help("The login node, or its name in the configuration of ssh.")
    )
    user: str | None = field(
        default=None, metadata=_help("The account there; absent: as ssh is configured.")
    )
    ssh_config: Path | None = field(
        default=None,
        metadata=_help(
            "Configuration of ssh: keys, ProxyJump, known hosts; absent: that of the account."
        ),
    )
    folder: str = field(
        default="opus-jobs",
        metadata=_help(
            "By ssh: where job folders lie on the cluster, from the home folder of the account."
        ),
    )
    timeout: float = field(
        default=60.0,
        metadata=_help("Longest time one command may take.", unit="seconds", least=1),
    )
    # -- what every job is submitted with
    account: str | None = field(default=None, metadata=_help("The account that jobs charge."))
    partition: str | None = field(default=None, metadata=_help("The partition jobs go to."))
    qos: str | None = field(default=None, metadata=_help("The quality of service of jobs."))
    cluster: str | None = field(
        default=None, metadata=_help("The cluster, where one SLURM knows several.")
    )
    sbatch_options: tuple[str, ...] = field(
        default=(), metadata=_help('Further options of sbatch, such as ["--constraint=avx2"].')
    )
    modules: tuple[str, ...] = field(
        default=(), metadata=_help("Environment modules that are loaded before each script.")
    )
    accounts: Mapping[str, str] = field(
        default_factory=dict,
        metadata=_help('Accounts to charge by owner, such as { ann = "stars" }.'),
    )
    wckeys: Mapping[str, str] = field(
        default_factory=dict, metadata=_help("Workload keys by owner.")
    )
    run_options: Mapping[str, str] = field(
        default_factory=dict,
        metadata=_help(
            'What users and descriptions may set, such as { slurm_mem = "100M..16G = 1G" }; '
            "nothing else may be."
        ),
    )
    # -- how SLURM is here
    commands: Mapping[str, str] = field(
        default_factory=dict,
        metadata=_help('Names or paths of commands, such as { sbatch = "/opt/slurm/bin/sbatch" }.'),
    )
    accounting: bool | None = field(
        default=None,
        metadata=_help("Whether sacct can be asked; absent: found out."),
    )
    grace: int = field(
        default=10,
        metadata=_help(
            "Between TERM and KILL of a script; some seconds less than KillWait of SLURM.",
            unit="seconds",
            least=0,
        ),
    )
    visible_after: float = field(
        default=30.0,
        metadata=_help(
            "How long a submission nobody knows the outcome of may take to appear; twenty seconds"
            " more than MessageTimeout of SLURM.",
            unit="seconds",
            least=1,
        ),
    )

    def __post_init__(self) -> None:
        if self.transport == "ssh" and not self.host:
            raise ValueError('transport = "ssh" needs the key host: the login node')
        if self.transport == "local" and self.host:
            raise ValueError(
                f'transport = "local" runs the commands here, not on {self.host}; leave out one'
            )
        for key in ("user", "ssh_config"):
            if getattr(self, key) and not self.host:
                raise ValueError(f"{key} is about a login node, and there is no host")
        if self.host is not None and not _HOST.fullmatch(self.host):
            raise ValueError(f"host: {self.host!r} is no name of a machine")
        folder = PurePosixPath(self.folder)
        if not self.folder or not self.folder.isprintable() or ".." in folder.parts:
            raise ValueError(f"folder: {self.folder!r} is no path of a folder")
        for key in ("account", "partition", "qos", "cluster", "user"):
            _check_word(key, getattr(self, key))
        for key in ("accounts", "wckeys"):
            for owner, value in getattr(self, key).items():
                _check_word(f"{key}: {owner}", value)
        for option in self.sbatch_options:
            if not _OPTION.fullmatch(option):
                raise ValueError(
                    f"sbatch_options: {option!r} is no option written as one --name=value"
                )
        for name in self.modules:
            _check_word("modules", name)
        for command in self.commands:
            if command not in COMMANDS:
                raise ValueError(f"commands: {command!r} is none of {', '.join(COMMANDS)}")
        parse_limits(self.run_options)

    @property
    def remote(self) -> bool:
        """Whether commands run on the login node."""
        return bool(self.host)

    @property
    def limits(self) -> Mapping[str, Limit]:
        """What may be set for a run, by name."""
        return parse_limits(self.run_options)

    def described(self) -> tuple[ParameterDescription, ...]:
        """The same as forms show it."""
        return tuple(limit.describe() for limit in self.limits.values())

    def command(self, name: str) -> str:
        """What one of `COMMANDS` is called here."""
        return self.commands.get(name, name)


def _check_word(key: str, value: str | None) -> None:
    if value is not None and not _WORD.fullmatch(value):
        raise ValueError(f"{key}: {value!r} is no name; use letters, digits and _.@:/+-")
