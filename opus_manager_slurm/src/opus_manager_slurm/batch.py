"""The batch script of one submission: what sbatch is told, and what runs the wrapper.

All that belongs to a job stands in `#SBATCH` lines of a text that sbatch reads from its standard
input, so that nothing of a job is on a command line. What a shell reads of it is quoted.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final

from opus_core.backends import Task

MARGIN: Final = 60  # [s] that SLURM's own limit leaves the wrapper to end the script and write


def batch_script(
    task: Task,
    folder: PurePosixPath,
    directives: Iterable[str],
    *,
    grace: int,
    modules: Iterable[str] = (),
) -> str:
    """The text for sbatch. `directives` are further options, each as one `--name=value`."""
    tag = task.ref.tag
    options = [
        f"--job-name={tag}",
        f"--comment={tag}",
        "--no-requeue",  # its script runs once; where it has not begun the site may say otherwise
        "--export=NONE",  # nothing of the server's environment
        f"--chdir={_directive(str(folder))}",
        # SLURM's own words about the job; the script's output is the wrapper's matter.
        f"--output={_directive(_no_pattern(str(folder / 'batch.log')))}",
        "--open-mode=append",
        *_time(task.execution_duration, grace),
        *directives,
    ]
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in options)]
    names = [*modules]
    if names:
        # A batch script is no login shell, which is where `module` is made known.
        lines.append("type module >/dev/null 2>&1 || . /etc/profile >/dev/null 2>&1")
        lines += [f"module load {shlex.quote(name)} || exit 1" for name in names]
    lines += [
        # Or srun would start the tasks of a script without an environment, as sbatch was told to.
        "unset -v SLURM_EXPORT_ENV",
        'export OPUS_CLAIMANT="$SLURM_JOB_ID"',
        f"export OPUS_FOLDER={shlex.quote(str(folder))}",
        f"export OPUS_TAG={shlex.quote(tag)} OPUS_GRACE={grace}",
        'exec bash "$OPUS_FOLDER/run"',
    ]
    return "\n".join(lines) + "\n"


def directive(option: str, value: str) -> str:
    """`--option=value` as a `#SBATCH` line takes it."""
    return f"--{option}={_directive(value)}"


def mapped(table: Mapping[str, str], owner: str | None, default: str | None) -> str | None:
    """What a site has written down for an owner, or its default."""
    return table.get(owner, default) if owner is not None else default


def _time(duration: int, grace: int) -> list[str]:
    """SLURM's limit is a second line of defence: the wrapper keeps to the second. Without a limit
    of the job's own the partition's applies."""
    if not duration:
        return []
    minutes = -(-(duration + grace + MARGIN) // 60)
    return [f"--time={minutes}"]


def _directive(value: str) -> str:
    """A value as sbatch reads it in a script: quoted where it holds more than plain characters."""
    if value and all(character.isalnum() or character in "-_./:,+=@%" for character in value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _no_pattern(path: str) -> str:
    """A path in which SLURM replaces nothing."""
    return path.replace("%", "%%")
