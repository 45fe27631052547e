"""Commands of a page, run as they are printed, but for the places that they name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from docs.blocks import Block, blocks


def marked(page: Path) -> dict[str, Block]:
    """The blocks of a page before which a comment stands, by that comment."""
    return {
        block.before.removeprefix("<!-- ").removesuffix(" -->"): block
        for block in blocks(page)
        if block.before.startswith("<!-- ")
    }


def run(
    text: str,
    places: Mapping[str, object],
    *,
    check: bool = True,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run it with each of `places` in the place of what is printed."""
    for printed, place in places.items():
        text = text.replace(printed, str(place))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-c", text],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        env={**os.environ, "PATH": path, **(environ or {})},
    )
    if check:
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done
