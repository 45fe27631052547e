"""Build the wheel of every distribution into a folder and install them into this environment.

tox runs it before tests/system: `python wheels.py FOLDER`. Only built wheels show what a wheel
lacks: a template, a script, a migration. They are built once for all environments of tox.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def sources() -> list[Path]:
    """The folder of every distribution in this checkout."""
    patterns = ("*/pyproject.toml", "plugins/*/pyproject.toml")
    return sorted(file.parent for pattern in patterns for file in CHECKOUT.glob(pattern))


def build(folder: Path) -> list[Path]:
    """All wheels, in `folder`: built with the hatchling that is installed here, or as another
    environment has built them of the same sources."""
    shutil.rmtree(folder, ignore_errors=True)
    if "TOX_WORK_DIR" not in os.environ:
        _build(folder)
    else:
        kept = Path(os.environ["TOX_WORK_DIR"]) / "wheels" / _print_of_sources()
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept.parent) as fresh:
                _build(Path(fresh) / "wheels")
                (Path(fresh) / "wheels").rename(kept)
        shutil.copytree(kept, folder)
    return sorted(folder.glob("*.whl"))


def _build(folder: Path) -> None:
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, *sources())


def _print_of_sources() -> str:
    """Another one for whatever may be in a wheel."""
    digest = hashlib.sha256()
    for folder in (*sources(), CHECKOUT / "examples"):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(CHECKOUT)}\0{path.stat().st_mode}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def install(wheels: list[Path], *options: str | Path) -> None:
    # pip leaves alone what is there in the same version, as ours always is: so by force. The
    # second call brings what they require.
    pip("install", "--force-reinstall", "--no-deps", *wheels)
    pip("install", *options, *wheels)


def pip(command: str, *arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", command, "--quiet", *arguments], check=True)


if __name__ == "__main__":
    install(build(Path(sys.argv[1])))
