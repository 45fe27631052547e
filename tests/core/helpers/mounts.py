"""Folders that are file systems of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from isolated import needs_root


@contextmanager
def mounted(*folders: Path) -> Iterator[None]:
    """Make them, each the root of its file system; skips where nothing can be mounted."""
    needs_root()
    done: list[Path] = []
    try:
        for folder in folders:
            folder.mkdir()
            tmpfs = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder]
            if subprocess.run(tmpfs, check=False).returncode != 0:
                pytest.skip("nothing can be mounted here")
            done.append(folder)
        yield
    finally:
        for folder in done:
            subprocess.run(["umount", folder], check=True)
