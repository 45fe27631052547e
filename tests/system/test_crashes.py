"""Killed at every labelled point of a job's life and started again: nothing is lost, nothing runs
twice, and every job ends, within seconds."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from servers import LEDGER_SCRIPT, LEDGER_WADL, Site, eventually, runs, site

CRASHING = Path(__file__).with_name("crashing.py")

pytestmark = pytest.mark.crash

# Where it dies before a job is asked to stop, the job completes as if nothing had been.
RUNNING = (
    "RUN committed",
    "folder written",
    "STARTING saved",
    "scheduler has it, id not saved",
    "id saved",
    "claim made",
    "started",
    "exit made",
    "end saved",
    "results half fetched",
    "results in place",
    "cluster has forgotten it",
)


# What the web side does: there it is the server that dies, beside a plain supervisor.
BY_THE_WEB = ("RUN committed", "abort_requested", "doomed")

# The ledger with a second result, so that there is a half of them.
TWO_RESULTS = LEDGER_WADL.replace(
    "</option>",
    '</option><option value="copy" mediaType="text/plain"><doc>The same once more</doc></option>',
)

everywhere = pytest.mark.parametrize("apart", [False, True], ids=["embedded", "apart"])


@pytest.fixture(scope="module")
def described(tmp_path_factory) -> Path:
    """The folder of job descriptions, made once."""
    with site(tmp_path_factory.mktemp("described")) as opened:
        opened.describe("ledger", 'printf 1 > "$copy"\n' + LEDGER_SCRIPT, TWO_RESULTS)
        return opened.folder / "data" / "definitions"


@pytest.fixture
def one(tmp_path, described):
    with site(tmp_path / "site") as opened:
        shutil.copytree(described, opened.folder / "data" / "definitions")
        yield opened


def crashing(one: Site, label: str, *, apart: bool) -> subprocess.Popen[bytes]:
    """Start it with the crash point: server and supervisor in one, or the one of two processes
    that comes to that point."""
    if apart:
        one.configure(supervisor="lease_seconds = 3\ngrace = 2\nembedded = false")
        if label not in BY_THE_WEB:
            one.serve()
            return one.start("--at", label, "supervise", program=CRASHING)
        one.start("supervise")
    process = one.start("--at", label, "serve", program=CRASHING)
    one.wait_until_up(process)
    return process


def ask(one: Site, method: str, path: str, fields: dict[str, str] | None = None) -> None:
    """Send a request; a server that dies meanwhile may not answer."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        one.request(method, path, fields)


def create(one: Site, ledger: Path, **fields: str) -> None:
    """Ask for a job."""
    fields = {"ledger": str(ledger), "PHASE": "RUN", "seconds": "0.3", **fields}
    ask(one, "POST", "/rest/ledger", fields)


def died(process: subprocess.Popen[bytes], one: Site) -> None:
    process.wait(timeout=30)
    assert process.returncode == -signal.SIGKILL, (one.folder / "stderr.log").read_text()[-2000:]
    assert (one.folder / "crashed").exists(), "it was not the labelled point"


def start_again(one: Site, label: str, *, apart: bool) -> None:
    if apart and label not in BY_THE_WEB:
        one.start("supervise")
    else:
        one.serve()


@everywhere
@pytest.mark.parametrize("label", RUNNING)
def test_a_job_that_was_running_completes_and_its_script_has_run_once(one, tmp_path, label, apart):
    ledger = tmp_path / "ledger"
    process = crashing(one, label, apart=apart)
    create(one, ledger)
    died(process, one)
    start_again(one, label, apart=apart)
    (job_id,) = one.jobs("ledger")
    job = f"/rest/ledger/{job_id}"
    assert one.wait(job, seconds=15) == "COMPLETED", one.document(job)
    assert runs(ledger) == 1
    assert one.get(f"{job}/results/output").text == "hello"
    assert one.get(f"{job}/results/copy").text == "1"
    document = one.document(job)
    assert document["creationTime"] <= document["startTime"] <= document["endTime"]


def test_a_pending_job_that_was_run_runs_once(one, tmp_path):
    ledger = tmp_path / "ledger"
    process = crashing(one, "RUN committed", apart=False)
    job = urlsplit(one.create("ledger", {"ledger": str(ledger)}, run=False)).path
    ask(one, "POST", f"{job}/phase", {"PHASE": "RUN"})
    died(process, one)
    one.serve()
    assert one.wait(job, seconds=15) == "COMPLETED", one.document(job)
    assert runs(ledger) == 1


@everywhere
@pytest.mark.parametrize("label", ["abort_requested", "abort sent", "ABORT during start"])
def test_a_job_that_was_to_be_aborted_is_aborted(one, tmp_path, label, apart):
    ledger = tmp_path / "ledger"
    process = crashing(one, label, apart=apart)
    create(one, ledger, seconds="60")
    (job_id,) = eventually(lambda: one.jobs("ledger"))
    job = f"/rest/ledger/{job_id}"
    eventually(lambda: runs(ledger))
    if label != "ABORT during start":
        one.wait(job, {"EXECUTING"})
    ask(one, "POST", f"{job}/phase", {"PHASE": "ABORT"})
    died(process, one)
    start_again(one, label, apart=apart)
    assert one.wait(job, seconds=20) == "ABORTED"
    assert runs(ledger) <= 1


@everywhere
@pytest.mark.parametrize("label", ["doomed", "folder removed", "row deleted"])
def test_a_job_that_was_deleted_stays_deleted_and_leaves_nothing(one, tmp_path, label, apart):
    ledger = tmp_path / "ledger"
    process = crashing(one, label, apart=apart)
    create(one, ledger, seconds="60")
    (job_id,) = eventually(lambda: one.jobs("ledger"))
    job = f"/rest/ledger/{job_id}"
    one.wait(job, {"EXECUTING"})
    folder = one.job_folder(job_id)
    assert folder.exists()
    ask(one, "DELETE", job)
    died(process, one)
    start_again(one, label, apart=apart)
    assert one.get(job).status == 404
    assert one.jobs("ledger") == []
    eventually(lambda: not folder.exists(), 20)
    eventually(lambda: not list((one.folder / "data" / "local").rglob("*opus-*")), 20)
    assert runs(ledger) <= 1


def test_a_wrapper_killed_before_it_could_write_the_end_is_not_taken_for_success(one, tmp_path):
    ledger = tmp_path / "ledger"
    one.serve()
    one.describe(
        "ledger",
        'echo ran >> "$ledger"; printf x > "$output"; kill -9 "$PPID"; sleep 60',
        LEDGER_WADL,
    )
    job = one.create("ledger", {"ledger": str(ledger)})
    assert one.wait(job, seconds=20) == "ERROR"
    assert "not recorded" in one.get(f"{job}/error").text
    assert runs(ledger) == 1


def test_a_server_killed_while_many_jobs_run_loses_none(one, tmp_path):
    ledgers = [tmp_path / f"ledger-{number}" for number in range(12)]
    process = one.serve()
    for ledger in ledgers:
        create(one, ledger, seconds="0.5")
    for _ in range(3):
        process.kill()
        process.wait()
        process = one.serve()
    ids = one.jobs("ledger")
    assert len(ids) == len(ledgers)
    for job_id in ids:
        assert one.wait(f"/rest/ledger/{job_id}", seconds=40) == "COMPLETED"
    assert [runs(ledger) for ledger in ledgers] == [1] * len(ledgers)
