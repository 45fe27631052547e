"""Let tox find the Pythons that pyenv has, say for each environment how many minutes it took, and
in the end which tests failed."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tox.plugin import impl

if TYPE_CHECKING:
    from tox.execute import Outcome
    from tox.tox_env.api import ToxEnv
    from tox.tox_env.installer import InstallArguments

_started: dict[str, float] = {}
_told: list[str] = []

_LOST = re.compile(r"^(?:\x1b\[\d+m)*((?:FAILED|ERROR|RERUN)\b.*?)(?:\x1b\[\d+m)*$", re.MULTILINE)


def _find_what_pyenv_has() -> None:
    """pyenv puts a python3.12 on the path that fails while another version is chosen, and whoever
    looks for a Python stops there. So what it stands for comes last on the path."""
    if shutil.which("pyenv") is None:
        return
    told = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False)
    if told.returncode:
        return
    folders = sorted(Path(told.stdout.strip()).glob("versions/*/bin"))
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *map(str, folders)])


_find_what_pyenv_has()


@impl
def tox_on_install(
    tox_env: ToxEnv, arguments: InstallArguments, section: str, of_type: str
) -> None:
    _started.setdefault(tox_env.name, time.monotonic())


@impl
def tox_before_run_commands(tox_env: ToxEnv) -> None:
    _started.setdefault(tox_env.name, time.monotonic())


@impl
def tox_after_run_commands(tox_env: ToxEnv, exit_code: int, outcomes: list[Outcome]) -> None:
    minutes = (time.monotonic() - _started.pop(tox_env.name)) / 60
    print(f"{tox_env.name}: {minutes:.1f} minutes, {'failed' if exit_code else 'passed'}")
    lost = (line for outcome in outcomes for line in _LOST.findall(outcome.out))
    _told.extend(f"{tox_env.name}: {line}" for line in lost)


@atexit.register
def _tell() -> None:
    """Last of all, where it is seen however much was printed before."""
    for line in _told:
        print(line)
