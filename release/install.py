"""Install a folder of wheels as a stranger would, and run the demo there."""

from __future__ import annotations

import os
import subprocess
import tempfile
import venv
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from release.parts import CHECKOUT, Refused, parts, version

# What would let a Python there import from elsewhere, or OPUS find the site of somebody.
_LEFT: Final = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "OPUS_CONFIG")
_WHERE: Final = """
import importlib, sys
for name in sys.argv[1:]:
    print(importlib.import_module(name).__file__)
print(*filter(None, sys.path), sep="\\n")
"""


def demonstrated(wheels: Path) -> str:
    """The last line that `opus demo` says, from an empty folder, in a new environment that has the
    distributions of this folder and what they require. Raises `Refused` if anything fails."""
    with tempfile.TemporaryDirectory(prefix="opus-release-") as made:
        folder = Path(made)
        environment, site = folder / "venv", folder / "site"
        site.mkdir()
        venv.create(environment, with_pip=True)
        python = environment / "bin" / "python"

        # What is ours comes from the folder or from nowhere, whatever an index may have of that
        # name; the rest from where pip is told to look.
        ours = [f"{part.name}=={version()}" for part in parts()]
        _run(python, "-m", "pip", "install", "--quiet", *_required(), cwd=site)
        folder_only = ("--isolated", "install", "--quiet", "--no-index", "--find-links", wheels)
        _run(python, "-m", "pip", *folder_only, *ours, cwd=site)
        _run(python, "-m", "pip", "check", cwd=site)

        packages = (part.package for part in parts())
        for line in _run(python, "-c", _WHERE, *packages, cwd=site).splitlines():
            if Path(line).is_relative_to(CHECKOUT):
                raise Refused(f"what was installed can import from the checkout: {line}")
        return _run(environment / "bin" / "opus", "demo", cwd=site).splitlines()[-1]


def _required() -> list[str]:
    """What our distributions ask for and is not ours."""
    asked = {line for part in parts() for line in part.project["dependencies"]}
    names = {part.name for part in parts()}
    return sorted(line for line in asked if Requirement(line).name not in names)


def _run(*command: str | Path, cwd: Path) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in _LEFT}
    done = subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, check=False)
    if done.returncode:
        typed = " ".join(map(str, command))
        raise Refused(f"{typed} fails in a new environment:\n{done.stdout}{done.stderr}")
    return done.stdout
