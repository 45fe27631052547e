"""Build the wheel of every distribution into a folder and install them into this environment.

tox runs it before tests/system: `python wheels.py FOLDER`. Only built wheels show what a wheel
lacks: a template, a script, a migration.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def sources() -> list[Path]:
    """The folder of every distribution in this checkout."""
    patterns = ("*/pyproject.toml", "plugins/*/pyproject.toml")
    return sorted(file.parent for pattern in patterns for file in CHECKOUT.glob(pattern))


def build(folder: Path) -> list[Path]:
    """Build all wheels into `folder`, with the hatchling that is installed here."""
    shutil.rmtree(folder, ignore_errors=True)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, *sources())
    return sorted(folder.glob("*.whl"))


def install(wheels: list[Path], *options: str | Path) -> None:
    # pip leaves alone what is there in the same version, as ours always is: so by force. The
    # second call brings what they require.
    pip("install", "--force-reinstall", "--no-deps", *wheels)
    pip("install", *options, *wheels)


def pip(command: str, *arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", command, "--quiet", *arguments], check=True)


if __name__ == "__main__":
    install(build(Path(sys.argv[1])))
