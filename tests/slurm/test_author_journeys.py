"""The journeys as an author types them. They can fail: each saboteur is caught by the journey that
its fault concerns, with a sentence that names the back end and what is wrong with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.takes(130)

BACK_ENDS = '[plugins]\ndisabled = ["grumbler"]\n'
CAUGHT = {
    "twice": (
        f'{BACK_ENDS}[manager]\nuse = "twice"',
        "test_a_job_runs_on_once_while_its_server_is_killed",
        "the script ran 2 times, and has to run once: the manager 'twice'",
    ),
    "deaf": (
        f'{BACK_ENDS}[manager]\nuse = "deaf"',
        "test_abort_stops_a_running_script_and_keeps_the_job",
        "the job was to end ABORTED, and is EXECUTING; the manager 'deaf'",
    ),
    "forgetful": (
        f'{BACK_ENDS}[storage]\nuse = "forgetful"',
        "test_a_restarted_server_knows_what_it_knew",
        "the storage 'forgetful' has forgotten 3 of 3 jobs at a restart",
    ),
    "skipping": (
        f'{BACK_ENDS}[storage]\nuse = "skipping"',
        "test_changes_tells_of_every_change_in_order",
        "something is missing between PENDING -> QUEUED",
    ),
    "losing": (
        f'{BACK_ENDS}[jdl]\nuse = "losing"',
        "test_a_description_comes_back_as_it_was_published",
        "the format 'losing' has lost parameters width",
    ),
    "grumbler": (
        "",
        "test_a_script_that_fails_ends_in_error_with_its_exit_code",
        ": failed on a change",
    ),
}
# Of each kind of back end there is another one; each of these waits for long.
SOAKED = ("deaf", "forgetful")


@pytest.fixture
def installed(tmp_path):
    """A folder with what an installer leaves behind of the saboteurs, and where their module is."""
    metadata = tmp_path / "opus_saboteurs-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: opus-saboteurs\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text(
        "[opus]\nsaboteurs = saboteurs\ngrumbler = saboteurs:grumbler\n"
    )
    return os.pathsep.join((str(tmp_path), str(Path(__file__).parent)))


def journey(folder: Path, path: str, toml: str, *which: str) -> subprocess.CompletedProcess[str]:
    """Run journeys as an author does, in a folder of theirs."""
    (folder / "opus.toml").write_text(toml)
    suite = ("--opus-config", "opus.toml", "--pyargs", "opus_core.testing.journeys")
    before = os.environ.get("PYTHONPATH", "")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--basetemp=pytest", *suite, *which],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (path, before))),
            "OPUS_TESTING_PATIENCE": "5",
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    ("toml", "name", "sentence"),
    [
        pytest.param(*caught, id=who, marks=[pytest.mark.soak] if who in SOAKED else [])
        for who, caught in CAUGHT.items()
    ],
)
def test_a_saboteur_is_caught(installed, tmp_path, toml, name, sentence):
    done = journey(tmp_path, installed, toml, "-k", name)
    assert done.returncode == 1, done.stdout + done.stderr
    assert sentence in done.stdout, done.stdout
    assert name in done.stdout.partition("short test summary info")[2]


def test_who_names_no_server_is_told_what_to_type(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--pyargs", "opus_core.testing.journeys"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "pytest --opus-config FILE.toml --pyargs opus_core.testing.journeys" in done.stderr


def test_a_server_that_does_not_start_says_why(tmp_path):
    done = journey(tmp_path, "", '[manager]\nuse = "locla"\n', "-k", "test_abort_of_a_pending")
    assert done.returncode == 1
    assert "the server does not start" in done.stdout
    assert "[manager] use = 'locla'" in done.stdout


def test_who_has_to_sign_in_does_so_by_a_header_and_commands_surround_the_server(tmp_path):
    toml = '[server]\ntrusted_proxies = ["127.0.0.1"]\n[auth]\nuser_header = "X-Remote-User"\n'
    done = journey(
        *(tmp_path, "", toml, "-k", "idempotency or lists"),
        *("--opus-header", "X-Remote-User: ann", "--opus-folder", "sites"),
        *("--opus-before", "touch {here}/{site}", "--opus-after", "mv {here}/{site} {here}/over"),
    )
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "over").exists()
    assert list((tmp_path / "sites").iterdir()) == []
