"""Where the tests that `make test` runs have their files."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

SCRATCH = Path(__file__).parents[1] / "services" / "scratch"
SAYS = (
    'echo "$TMPDIR"; if [ "$TMPDIR" ]; then stat -c %a "$TMPDIR"; touch "$TMPDIR/opus"; fi; exit 3'
)


def run(**environ: str) -> list[str]:
    others = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
    done = subprocess.run(
        [SCRATCH, "bash", "-c", SAYS], env=others | environ, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (3, "")
    return done.stdout.splitlines()


def test_they_are_where_whoever_runs_them_wants_them(tmp_path):
    assert run(TMPDIR=str(tmp_path))[0] == str(tmp_path)
    assert (tmp_path / "opus").exists()


def test_else_they_are_in_memory_for_as_long_as_they_run_and_everybody_may_write_there():
    assert "\nenough=$((8 * 1024 * 1024)) # [KiB]" in SCRATCH.read_text()
    folder, *mode = run()
    if not folder:
        pytest.skip("this machine has too little memory for it")
    assert Path(folder).parent == Path("/dev/shm")
    assert int(mode[0], 8) == stat.S_IMODE(os.stat("/tmp").st_mode) == 0o1777
    assert not Path(folder).exists()
