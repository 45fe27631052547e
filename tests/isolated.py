"""What tests of isolated jobs need: root, bubblewrap, a folder that others may pass through."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from services_missing import lacking

NOBODY: Final = "nobody"
"""A user that every machine has, and that owns nothing."""


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder below which others may pass to what is theirs; not in /tmp, which a sandbox has for
    itself."""
    folder = Path(tempfile.mkdtemp(prefix="opus-isolated-", dir="/var/tmp"))
    try:
        folder.chmod(0o711)
        yield folder
    finally:
        shutil.rmtree(folder)


def needs_root() -> None:
    """Skip, or fail with CI=true, where nobody else can be become."""
    if os.geteuid() != 0:
        lacking("only root can run jobs as another user")


def needs_bubblewrap() -> None:
    """Skip, or fail with CI=true, where there is no sandbox."""
    if shutil.which("bwrap") is None:
        lacking("bubblewrap is not installed")
