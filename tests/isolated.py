"""What tests of isolated jobs need: root, bubblewrap, a folder that others may pass through."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import pytest

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


def humble() -> list[str]:
    """In front of a command that permissions are to concern: root's own does not heed them."""
    rights = "--bounding-set=-dac_override,-dac_read_search"
    return ["setpriv", rights, "--"] if os.geteuid() == 0 else []


def needs_root() -> None:
    """Skip, or fail with CI=true, where nobody else can be become."""
    if os.geteuid() != 0:
        lacking("only root can run jobs as another user")


def needs_bubblewrap() -> None:
    """Skip, or fail with CI=true, where bubblewrap is missing; skip where the kernel allows no
    sandbox (in a chroot, say), which nothing that could be installed would change."""
    if shutil.which("bwrap") is None:
        lacking("bubblewrap is not installed")
    if said := _refused():
        pytest.skip(f"no sandbox can be made here: {said}")


@cache
def _refused() -> str:
    """What bubblewrap says where it cannot do anything; nothing where it can."""
    command = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return (done.stderr.strip() or "it fails") if done.returncode else ""
