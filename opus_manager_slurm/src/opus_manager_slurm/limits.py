"""What users and descriptions may set for a run, within what the admin allows.

    [manager.run_options]
    slurm_partition = "main | long = main"     one of these; without `= main`: the site's own
    slurm_mem = "100M..16G = 1G"               a size within these, in MiB or with K, M, G, T
    slurm_cpus_per_task = "1..16"              a whole number

What is not in this table cannot be set by anybody but the admin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from opus_core.definition import Option, ParameterDescription, ParameterType
from opus_core.errors import SubmitRejected

_SIZES: Final = ("slurm_mem", "slurm_mem_per_cpu", "slurm_tmp")
_NUMBERS: Final = (
    "slurm_nodes",
    "slurm_ntasks",
    "slurm_ntasks_per_node",
    "slurm_cpus_per_task",
    "slurm_gpus",
)
_NAMES: Final = (
    "slurm_partition",
    "slurm_qos",
    "slurm_account",
    "slurm_constraint",
    "slurm_gres",
    "slurm_licenses",
    "slurm_reservation",
)
_HELP: Final = {
    "slurm_mem": "Memory on each node.",
    "slurm_mem_per_cpu": "Memory for each processor.",
    "slurm_tmp": "Temporary disk space on each node.",
    "slurm_nodes": "Number of nodes.",
    "slurm_ntasks": "Number of tasks.",
    "slurm_ntasks_per_node": "Number of tasks on each node.",
    "slurm_cpus_per_task": "Number of processors for each task.",
    "slurm_gpus": "Number of graphics processors.",
    "slurm_partition": "The partition of the cluster.",
    "slurm_qos": "The quality of service.",
    "slurm_account": "The account that is charged.",
    "slurm_constraint": "What the nodes have to have.",
    "slurm_gres": "Further resources of the nodes.",
    "slurm_licenses": "Licences that it needs.",
    "slurm_reservation": "The reservation it runs in.",
}
_MIB: Final = {"M": 1, "G": 1024, "T": 1024**2}
_SIZE: Final = re.compile(r"([0-9]{1,12})([KMGT]?)i?B?", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z0-9_.:,&*()\[\]@/+-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What one run option may be."""

    name: str
    choices: tuple[str, ...] = ()  # none: a whole number within least and most
    least: int = 0  # sizes in MiB
    most: int = 0
    default: str | None = None

    @property
    def option(self) -> str:
        """What sbatch calls it."""
        return self.name.removeprefix("slurm_").replace("_", "-")

    def describe(self) -> ParameterDescription:
        """As a form shows it."""
        if self.choices:
            return ParameterDescription(
                name=self.name,
                description=_HELP[self.name],
                default=self.default,
                options=tuple(Option(value=one) for one in self.choices),
            )
        return ParameterDescription(
            name=self.name,
            type=ParameterType.INT,
            description=_HELP[self.name],
            default=self.default,
            minimum=str(self.least),
            maximum=str(self.most),
            unit="MiB" if self.name in _SIZES else "",
        )

    def value(self, text: str) -> str:
        """A value as sbatch is given it. Raises `SubmitRejected` for what is not allowed, which
        only a description can ask for: what users send is checked before."""
        if self.choices:
            if text not in self.choices:
                raise SubmitRejected(
                    f"{self.name} cannot be {text!r}; allowed here: {', '.join(self.choices)}"
                )
            return text
        number = _size(text) if self.name in _SIZES else _number(text)
        if number is None or not self.least <= number <= self.most:
            raise SubmitRejected(
                f"{self.name} cannot be {text!r}; allowed here: {self.least} to {self.most}"
                + (" MiB" if self.name in _SIZES else "")
            )
        return f"{number}M" if self.name in _SIZES else str(number)


def parse_limits(table: Mapping[str, str]) -> Mapping[str, Limit]:
    """The table `[manager.run_options]`. Raises `ValueError` with a sentence."""
    return MappingProxyType({name: _limit(name, text) for name, text in table.items()})


def _limit(name: str, text: str) -> Limit:
    if name not in _HELP:
        raise ValueError(f"run_options: {name!r} is none of {', '.join(_HELP)}")
    allowed, equals, default = (part.strip() for part in text.partition("="))
    if equals and not default:
        raise ValueError(f"run_options: {name} = {text!r} has no default behind the =")
    if name in _NAMES:
        choices = tuple(one.strip() for one in allowed.split("|"))
        if not all(_NAME.fullmatch(one) for one in choices):
            raise ValueError(f'run_options: {name} = {text!r}; write it as "main | long = main"')
        if default and default not in choices:
            raise ValueError(f"run_options: {name}: the default {default} is none of its values")
        return Limit(name=name, choices=choices, default=default or None)
    read = _size if name in _SIZES else _number
    low, dots, high = allowed.partition("..")
    least, most = read(low.strip()), read(high.strip())
    given = read(default) if default else None
    if not dots or least is None or most is None or least > most or (default and given is None):
        example = "100M..16G = 1G" if name in _SIZES else "1..16 = 1"
        raise ValueError(f'run_options: {name} = {text!r}; write it as "{example}"')
    if given is not None and not least <= given <= most:
        raise ValueError(f"run_options: {name}: the default {default} is not within {allowed}")
    return Limit(name=name, least=least, most=most, default=None if given is None else str(given))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _size(text: str) -> int | None:
    """A size in whole MiB, rounded up; without a unit it is MiB, as for sbatch."""
    found = _SIZE.fullmatch(text)
    if not found:
        return None
    number, unit = int(found[1]), found[2].upper() or "M"
    return -(-number // 1024) if unit == "K" else number * _MIB[unit]
