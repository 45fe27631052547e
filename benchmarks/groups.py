"""The groups of figures. A group is a module here of that name, with `figures(quick)` in it."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterator

from benchmarks.figure import Failed, Figure

GROUPS = (
    "requests",
    "lists",
    "pages",
    "jobs",
    "waits",
    "files",
    "server",
    "slurm",
)


def measured(group: str, *, quick: bool) -> Iterator[Figure]:
    """The figures of a group as they come; whatever goes wrong in it is the last of them, so that
    the other groups have their turn."""
    try:
        yield from importlib.import_module(f"benchmarks.{group}").figures(quick)
    except Failed as failure:
        yield Figure(group, None, note=str(failure))
    except Exception as error:
        traceback.print_exc()
        yield Figure(group, None, note=repr(error))
