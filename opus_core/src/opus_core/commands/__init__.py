"""The subcommands of `opus`: each module adds its parser (`add`) and is run by it (`run`)."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Final

NAMES: Final = (
    "demo",
    "run",
    "init",
    "serve",
    "supervise",
    "client",
    "check",
    "plugins",
    "new-plugin",
    "jdl",
    "jobs",
    "user",
    "token",
    "audit",
    "db",
)
"""In the order of `opus --help`."""


def module(name: str) -> ModuleType:
    """What does the command of that name. It is imported when it is asked for: to know every
    command takes longer than most of them run."""
    return import_module(f"{__name__}.{name.replace('-', '_')}")
