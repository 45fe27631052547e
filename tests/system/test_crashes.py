"""Killed at every labelled point of a job's life and started again: nothing is lost, nothing runs
twice, and every job ends, within seconds."""

from __future__ import annotations

import contextlib
import http.client
import signal
import subprocess
from pathlib import Path

import pytest

from servers import LEDGER_WADL, Site, describe_ledger, eventually, runs, site

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


@pytest.fixture
def one(tmp_path):
    with site(tmp_path / "site") as opened:
        describe_ledger(opened)
        yield opened


def crashing(one: Site, label: str, *, apart: bool) -> subprocess.Popen[bytes]:
    """Start it with the crash point: the whole server, or the supervisor beside a plain server."""
    if not apart:
        process = one.start("--at", label, "serve", program=CRASHING)
        one.wait_until_up(process)
        return process
    one.configure(supervisor="lease_seconds = 3\ngrace = 2\nembedded = false")
    one.serve()
    return one.start("--at", label, "supervise", program=CRASHING)


def create(one: Site, ledger: Path, **fields: str) -> None:
    """Ask for a job; a server that dies meanwhile may not answer."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        one.post(
            "/rest/ledger", {"ledger": str(ledger), "PHASE": "RUN", "seconds": "0.3", **fields}
        )


def died(process: subprocess.Popen[bytes], one: Site) -> None:
    process.wait(timeout=30)
    assert process.returncode == -signal.SIGKILL, (one.folder / "stderr.log").read_text()[-2000:]
    assert (one.folder / "crashed").exists(), "it was not the labelled point"


def start_again(one: Site, *, apart: bool) -> None:
    if apart:
        one.start("supervise")
    else:
        one.serve()


@pytest.mark.parametrize("apart", [False, True], ids=["embedded", "apart"])
@pytest.mark.parametrize("label", RUNNING)
def test_a_job_that_was_running_completes_and_its_script_has_run_once(one, tmp_path, label, apart):
    if apart and label == "RUN committed":
        pytest.skip("the web side commits it: see embedded")
    ledger = tmp_path / "ledger"
    process = crashing(one, label, apart=apart)
    create(one, ledger)
    died(process, one)
    start_again(one, apart=apart)
    (job_id,) = one.jobs("ledger")
    job = f"/rest/ledger/{job_id}"
    assert one.wait(job, seconds=15) == "COMPLETED", one.document(job)
    assert runs(ledger) == 1
    assert one.get(f"{job}/results/output").text == "hello"
    document = one.document(job)
    assert document["creationTime"] <= document["startTime"] <= document["endTime"]


@pytest.mark.parametrize("label", ["abort_requested", "abort sent", "ABORT during start"])
def test_a_job_that_was_to_be_aborted_is_aborted(one, tmp_path, label):
    ledger = tmp_path / "ledger"
    process = crashing(one, label, apart=False)
    create(one, ledger, seconds="60")
    (job_id,) = eventually(lambda: one.jobs("ledger"))
    job = f"/rest/ledger/{job_id}"
    eventually(lambda: runs(ledger))
    if label != "ABORT during start":
        one.wait(job, {"EXECUTING"})
    with contextlib.suppress(OSError, http.client.HTTPException):
        one.post(f"{job}/phase", {"PHASE": "ABORT"})
    died(process, one)
    one.serve()
    assert one.wait(job, seconds=20) == "ABORTED"
    assert runs(ledger) <= 1


@pytest.mark.parametrize("label", ["doomed", "folder removed", "row deleted"])
def test_a_job_that_was_deleted_stays_deleted_and_leaves_nothing(one, tmp_path, label):
    ledger = tmp_path / "ledger"
    process = crashing(one, label, apart=False)
    create(one, ledger, seconds="60")
    (job_id,) = eventually(lambda: one.jobs("ledger"))
    job = f"/rest/ledger/{job_id}"
    one.wait(job, {"EXECUTING"})
    folder = one.job_folder(job_id)
    assert folder.exists()
    with contextlib.suppress(OSError, http.client.HTTPException):
        one.request("DELETE", job)
    died(process, one)
    one.serve()
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
