"""Let tox say for each environment how many minutes it took, and in the end which tests failed."""

from __future__ import annotations

import atexit
import re
import time
from typing import TYPE_CHECKING

from tox.plugin import impl

if TYPE_CHECKING:
    from tox.execute import Outcome
    from tox.tox_env.api import ToxEnv
    from tox.tox_env.installer import InstallArguments

_started: dict[str, float] = {}
_failed: list[str] = []

_LOST = re.compile(r"^(?:\x1b\[\d+m)*((?:FAILED|ERROR)\b.*?)(?:\x1b\[\d+m)*$", re.MULTILINE)


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
    if exit_code:
        said = (line for outcome in outcomes for line in _LOST.findall(outcome.out))
        _failed.extend(f"{tox_env.name}: {line}" for line in said)


@atexit.register
def _tell() -> None:
    """Last of all, where it is seen however much was printed before."""
    for line in _failed:
        print(line)
