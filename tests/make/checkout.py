"""A fresh checkout of OPUS, and make in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
INSTALLING = 600  # [s] it may take to bring all packages from a slow registry
# What a make around this test has told its children, and where Python and its programs lie.
OURS = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONPATH", "VIRTUAL_ENV")
NOT_TRACKED = shutil.ignore_patterns(".git", ".venv*", ".tox", ".*_cache", "__pycache__", "opus-*")
SOMEBODY = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")


def fresh(folder: Path) -> Path:
    """A checkout of what is tracked, as it lies here now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True)
    if listed.returncode:  # the sources came without their history
        shutil.copytree(CHECKOUT, folder, ignore=NOT_TRACKED)
        return folder
    for name in filter(None, listed.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, folder / name)
    return folder


def committed(folder: Path) -> Path:
    """The same folder, with all that is in it as its last commit."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, *SOMEBODY, "commit", "--quiet", "--no-verify", "--message", "As it lies here")
    return folder


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def make(folder: Path, *words: str, seconds: float = 60, **environment: str):
    kept = {key: value for key, value in os.environ.items() if key not in OURS}
    return subprocess.run(
        ["make", *words],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
    )
