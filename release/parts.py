"""The distributions of this checkout, and what git knows of it."""

from __future__ import annotations

import subprocess
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

CHECKOUT: Final = Path(__file__).resolve().parents[1]


class Refused(Exception):
    """There will be no release; the sentences say why, and the way out."""


@dataclass(frozen=True)
class Part:
    """One distribution: `NAME/pyproject.toml`, `NAME/src/NAME/`."""

    folder: Path

    @property
    def package(self) -> str:
        return self.folder.name

    @property
    def name(self) -> str:
        return self.package.replace("_", "-")

    @cached_property
    def project(self) -> dict[str, Any]:
        return _project(self.folder)

    @property
    def stem(self) -> str:
        """What the names of its files begin with, and all that is in its sdist."""
        return f"{self.package}-{self.project['version']}"


def parts() -> list[Part]:
    found = (*CHECKOUT.glob("*/pyproject.toml"), *CHECKOUT.glob("plugins/*/pyproject.toml"))
    return [Part(file.parent) for file in sorted(found)]


def version() -> str:
    """That of the whole, which every part has, too."""
    found: str = _project(CHECKOUT)["version"]
    return found


def _project(folder: Path) -> dict[str, Any]:
    document = tomllib.loads((folder / "pyproject.toml").read_text())
    project: dict[str, Any] = document["project"]
    return project


def git(*words: str) -> str | None:
    """What git says of this checkout; None if it does not know, or is not there."""
    # Sources that were unpacked inside of some other checkout have no history of their own.
    if not (CHECKOUT / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", CHECKOUT, *words], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout.rstrip("\n")
