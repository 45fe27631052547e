"""Commands as an author types them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from wheels import CHECKOUT

PAGES = CHECKOUT / "docs" / "plugins"


def run(
    *command: str | Path, cwd: Path, code: int = 0, seconds: float = 300, **environment: str
) -> str:
    """All that a command writes; fails with it unless it ends with this code."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def opus(*words: str | Path, cwd: Path, code: int = 0, **environment: str) -> str:
    """What `opus WORDS` writes."""
    return run(sys.executable, "-m", "opus_core.cli", *words, cwd=cwd, code=code, **environment)
