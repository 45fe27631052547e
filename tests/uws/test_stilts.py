"""Driven by STILTS, whose TAP commands take a job list called `async` for that of a TAP service."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from uws import schemas
from uws.documents import ids

pytestmark = pytest.mark.uws("13.1")


def stilts(command: str, **parameters: str) -> str:
    """What it prints; skips where there is no STILTS."""
    program = shutil.which("stilts")
    if program is None:
        schemas.lacking("STILTS is not here: install Debian's stilts (tests/services/install does)")
    given = [f"{name}={value}" for name, value in parameters.items()]
    done = subprocess.run(
        [program, "-batch", command, *given], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_makes_a_job_sends_a_table_runs_it_reads_the_result_and_deletes_it(one, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("a,b\n1,2\n3,4\n")
    before = ids(one, "/rest/async")
    printed = stilts(
        "tapquery",
        tapurl=f"{one.url}/rest",
        adql="SELECT 1",
        nupload="1",
        upload1=str(table),
        ufmt1="csv",
        upname1="catalogue",
        sync="false",
        parse="false",
        poll="200",
        ofmt="csv",
    )
    name, size = printed.split()
    assert name == "size"
    assert int(size) > 100, "a VOTable has been sent"
    assert ids(one, "/rest/async") == before


def test_it_resumes_a_job_that_somebody_else_has_made(one):
    job = one.create("async", {"seconds": "1"})
    printed = stilts("tapresume", joburl=job, poll="200", delete="never", ofmt="csv")
    assert printed.split() == ["size", "7"]
    assert one.phase(job) == "COMPLETED"
