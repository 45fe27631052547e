"""What people do with a job, over a socket, against the installed wheels."""

from __future__ import annotations

import statistics
import subprocess
import time
import urllib.request

import pytest
from lxml import etree

from servers import LEDGER_WADL, describe_ledger, eventually, runs, site

UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    with site(tmp_path_factory.mktemp("journeys")) as opened:
        describe_ledger(opened)
        opened.serve()
        yield opened


def test_from_request_to_result(one, tmp_path):
    job = one.create("ledger", {"ledger": str(tmp_path / "l"), "text": "a word"}, run=False)
    assert job.startswith(f"{one.url}/rest/ledger/")
    assert one.phase(job) == "PENDING"
    answer = one.post(f"{job}/phase", {"PHASE": "RUN"})
    assert (answer.status, answer.location) == (303, job)
    assert one.wait(job) == "COMPLETED"
    document = etree.fromstring(one.get(job).body)
    assert document.tag == f"{UWS}job"
    result = document.find(f"{UWS}results/{UWS}result")
    with urllib.request.urlopen(result.get("{http://www.w3.org/1999/xlink}href")) as response:
        assert response.read() == b"a word"
    assert result.get("mime-type") == "text/plain"
    assert int(result.get("size")) == len("a word")
    assert one.get(f"{job}/stdout").text == "running for 0 s\n"


def test_a_script_that_fails_ends_in_error_with_its_code(one, tmp_path):
    job = one.create("ledger", {"ledger": str(tmp_path / "l"), "code": "3"})
    assert one.wait(job) == "ERROR"
    assert "exit code 3" in one.get(f"{job}/error").text


def test_abort_stops_what_runs_and_keeps_the_job(one, tmp_path):
    job = one.create("ledger", {"ledger": str(tmp_path / "l"), "seconds": "60"})
    one.wait(job, {"EXECUTING"})
    eventually(lambda: runs(tmp_path / "l"))
    begin = time.monotonic()
    answer = one.post(f"{job}/phase", {"PHASE": "ABORT"})
    assert answer.status == 303
    assert one.wait(job, seconds=10) == "ABORTED"
    assert time.monotonic() - begin < 10
    assert one.post(f"{job}/phase", {"PHASE": "ABORT"}).status == 303
    assert one.phase(job) == "ABORTED"


def test_the_execution_duration_ends_a_job(one, tmp_path):
    job = one.create(
        "ledger", {"ledger": str(tmp_path / "l"), "seconds": "60", "EXECUTIONDURATION": "1"}
    )
    assert one.wait(job, seconds=20) == "ABORTED"
    assert "execution duration of 1 s exceeded" in one.get(f"{job}/error").text


def test_delete_removes_a_running_job_and_its_folder(one, tmp_path):
    job = one.create("ledger", {"ledger": str(tmp_path / "l"), "seconds": "60"})
    one.wait(job, {"EXECUTING"})
    folder = one.job_folder(job.rpartition("/")[2])
    answer = one.request("DELETE", job)
    assert answer.status == 303
    assert one.get(job).status == 404
    eventually(lambda: not folder.exists())


def test_destruction_time_destroys_a_job(one, tmp_path):
    job = one.create("ledger", {"ledger": str(tmp_path / "l")})
    one.wait(job)
    answer = one.post(f"{job}/destruction", {"DESTRUCTION": "2001-01-01T00:00:00"})
    assert answer.status == 303
    eventually(lambda: one.get(job).status == 404, 20)


def test_wait_answers_when_the_phase_changes(one, tmp_path):
    job = one.create("ledger", {"ledger": str(tmp_path / "l"), "seconds": "1"})
    one.wait(job, {"EXECUTING"})
    begin = time.monotonic()
    answer = one.get(f"{job}?WAIT=30&PHASE=EXECUTING")
    assert time.monotonic() - begin < 15
    assert etree.fromstring(answer.body).findtext(f"{UWS}phase") == "COMPLETED"


def test_the_output_of_a_running_job_can_be_read(one, tmp_path):
    job = one.create("ledger", {"ledger": str(tmp_path / "l"), "seconds": "5"})
    one.wait(job, {"EXECUTING"})
    eventually(lambda: one.get(f"{job}/stdout").text == "running for 5 s\n", 10)
    assert one.phase(job) == "EXECUTING"
    one.request("DELETE", job)


def test_a_supervisor_in_another_process_picks_a_job_up_within_a_second(tmp_path):
    with site(tmp_path / "apart") as apart:
        describe_ledger(apart)
        apart.configure(supervisor="embedded = false")
        apart.serve()
        apart.start("supervise")
        first = apart.create("ledger", {"ledger": str(tmp_path / "first")})
        apart.wait(first)
        took = []
        for number in range(5):
            ledger = tmp_path / f"ledger {number}"
            begin = time.monotonic()
            apart.create("ledger", {"ledger": str(ledger)})
            eventually(lambda ledger=ledger: runs(ledger))
            took.append(time.monotonic() - begin)
        assert statistics.median(took) < 1.0, took


def test_without_a_supervisor_the_server_says_so(tmp_path):
    with site(tmp_path / "alone") as alone:
        describe_ledger(alone)
        alone.configure(supervisor="embedded = false")
        alone.serve()
        assert "no supervisor is running" in alone.get("/availability").text
        job = alone.create("ledger", {"ledger": str(tmp_path / "l")})
        assert alone.phase(job) == "QUEUED"
        found = alone.opus("check", check=False)
        assert "no supervisor is running" in found.stdout


def test_an_original_script_without_a_first_line_runs_as_it_did(one, tmp_path):
    one.describe("echo", "sleep 0\r\necho $text > $output\r\n", LEDGER_WADL)
    job = one.create("echo", {"ledger": "-", "text": "Hello World"})
    assert one.wait(job) == "COMPLETED"
    assert one.get(f"{job}/results/output").text == "Hello World\n"


def test_opus_run_follows_a_job_and_fetches_its_results(one, tmp_path):
    done = subprocess.run(
        [
            *("opus", "run", "ledger", f"ledger={tmp_path / 'l'}", "text=over there"),
            *("--server", one.url, "--output", str(tmp_path / "out")),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "COMPLETED" in done.stdout
    assert (tmp_path / "out" / "output").read_text() == "over there"


def test_opus_run_says_by_its_exit_code_how_the_job_ended(one, tmp_path):
    command = ["opus", "run", "ledger", f"ledger={tmp_path / 'l'}", "code=7", "--server", one.url]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 1
    assert "exit code 7" in done.stdout
