"""What a power cut must not take back is on the disk before anything is built upon it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from opus_core import links
from opus_core.definition import GeneratedDescription, JobDefinition
from opus_core.folder import Folders
from opus_core.job import DefinitionRef, Job, new_id, now
from opus_core.links import Exit

BASH = os.environ.get("OPUS_TEST_BASH") or shutil.which("bash") or "bash"

# Stands in for `sync` of coreutils: writes down what it was asked, and what was there by then.
STUB = """#!/bin/bash
printf '%s: %s\\n' "$*" "$(cd "$FOLDER" && printf '%s ' claim* started* exit* results/*)" >>"$SEEN"
"""

Run = Callable[..., tuple[Path, Exit | None]]


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    return tmp_path / "seen"


@pytest.fixture
def run(tmp_path: Path, seen: Path) -> Run:
    """A callable that runs a job's wrapper with another `sync`; its folder, and how it ended."""

    def run(script: str, sync: str = STUB, **environment: str) -> tuple[Path, Exit | None]:
        commands = tmp_path / "commands"
        commands.mkdir()
        (commands / "sync").write_text(sync)
        (commands / "sync").chmod(0o755)
        definition = JobDefinition(
            name="test", script=script, generated=(GeneratedDescription(name="plot"),)
        )
        job = Job(id=new_id(), definition=DefinitionRef("test", 1), created=now())
        folders = Folders(tmp_path / "jobs")
        folders.write(job, definition, event=None, host="here", backends={})
        folder = folders.path(job.id)
        subprocess.run(
            [BASH, folder / "run"],
            env={
                "PATH": f"{commands}:{os.environ['PATH']}",
                "OPUS_CLAIMANT": "1",
                "FOLDER": str(folder),
                "SEEN": str(seen),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        return folder, links.peek(folder).exit

    return run


def test_both_links_are_on_the_disk_before_the_script_does_anything(run: Run, seen: Path) -> None:
    run('echo "the script" >> "$SEEN"; exit 3')
    first, second = seen.read_text().splitlines()
    assert first == "-- .: claim started exit* results/* "
    assert second == "the script"


def test_results_are_on_the_disk_before_the_exit_says_that_all_is_well(
    run: Run, seen: Path
) -> None:
    folder, end = run("echo 1 > plot")
    assert end is not None
    assert end.code == 0
    last = seen.read_text().splitlines()[-1]
    assert last == "-- results/plot results: claim started exit* results/plot "
    assert (folder / "results" / "plot").read_text() == "1\n"


@pytest.mark.parametrize("script", ["echo 1 > plot; exit 3", "echo 1 > plot; kill $PPID; sleep 60"])
def test_nobody_waits_for_the_results_of_a_script_that_failed(
    run: Run, seen: Path, script: str
) -> None:
    folder, end = run(script)
    assert end is not None
    assert (folder / "results" / "plot").exists()
    assert len(seen.read_text().splitlines()) == 1


@pytest.mark.parametrize("sync", ["#!/bin/bash\necho no >&2; exit 1\n", "#!/no/such/program\n"])
def test_a_machine_that_cannot_do_that_runs_the_script_all_the_same(run: Run, sync: str) -> None:
    folder, end = run("echo 1 > plot", sync=sync)
    assert end is not None
    assert end.code == 0
    assert (folder / "stderr").read_text() == ""
