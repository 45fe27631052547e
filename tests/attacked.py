"""Sites for tests that attack them: whatever gets through does its harm as a user without rights.

Where root runs the tests, all commands of such a site are nobody's. Root's Python may lie where
nobody may not look (a home folder); then nobody is given the one right to read everything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from servers import Site
from services_missing import lacking

_NOBODY = 65534  # on every Linux, and the number of its group
# Python falls back on another library, if there is one, where it may not see its own.
_RIGHT = (
    "import os, sys, opus_core.cli as cli;"
    "sys.exit(sys.base_prefix != {!r} or not os.access(cli.__file__, os.R_OK))"
)
_BECOME = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")


@contextmanager
def attacked_site() -> Iterator[Site]:
    """A site without rights, in a folder that nobody may enter. Skips where that cannot be."""
    prefix = as_nobody()
    # pytest's own folders may be entered by their owner alone.
    folder = Path(tempfile.mkdtemp(prefix="opus-attacked-"))
    try:
        folder.chmod(0o755)
        one = Site(folder / "site", prefix=prefix)
        if prefix:
            os.chown(one.folder, _NOBODY, _NOBODY)
        try:
            yield one
        finally:
            one.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a job that ends now may still write there


@cache
def as_nobody() -> tuple[str, ...]:
    """What a command begins with to be run without rights; nothing if we have none ourselves."""
    if os.getuid() != 0:
        return ()
    said = "there is no setpriv here"
    if shutil.which("setpriv"):
        for rights in ("-all", "-all,+dac_read_search"):
            kinds = ("bounding-set", "inh-caps", "ambient-caps")
            prefix = (*_BECOME, *(f"--{kind}={rights}" for kind in kinds))
            if rights != "-all":
                # access(2), which alembic asks, sets that right aside for users but for this bit.
                prefix = (*prefix, "--securebits=+no_setuid_fixup")
            command = [*prefix, sys.executable, "-c", _RIGHT.format(sys.base_prefix)]
            tried = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60)
            if tried.returncode == 0:
                return prefix
            said = tried.stderr.strip()[-300:] or "it finds another Python's library"
    lacking(f"root runs the tests, and the servers they attack cannot run as nobody: {said}")


@cache
def powerless() -> tuple[str, ...]:
    """What a command begins with, so that it may do to a file what the file's mode says and no
    more: root without its capabilities is an owner like others. (Nobody may have been given the
    right to read everything, see above.)"""
    if os.getuid() != 0:
        return ()
    kinds = ("bounding-set", "inh-caps", "ambient-caps")
    prefix = ("setpriv", *(f"--{kind}=-all" for kind in kinds))
    if not shutil.which("setpriv"):
        lacking("root runs the tests, and there is no setpriv here to take its rights away")
    with tempfile.NamedTemporaryFile() as file:
        os.chmod(file.name, 0)
        tried = subprocess.run([*prefix, "cat", file.name], capture_output=True, timeout=60)
    if b"Permission denied" not in tried.stderr:
        lacking(f"root runs the tests, and its rights cannot be taken away: {tried.stderr!r}")
    return prefix
