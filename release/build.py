"""Build the sdist of every distribution, and its wheel from that sdist: what the one lacks, the
other lacks too, and it shows here. The same commit gives the same bytes, by the same hatchling."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from release.parts import Part, Refused, parts


def build(folder: Path, date: str | None) -> None:
    """Into `folder`; `date` [s since 1970] is that of every file in the archives."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda part: _build(part, folder, date), parts()))


def _build(part: Part, folder: Path, date: str | None) -> None:
    done = subprocess.run(
        # Its own tools are those of this environment: make has put them there.
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, part.folder],
        env={**os.environ, **({"SOURCE_DATE_EPOCH": date} if date else {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Refused(f"{part.name} does not build:\n{done.stdout}")
