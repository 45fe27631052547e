"""Journeys of jobs that run to their end."""

from __future__ import annotations

import threading
import time
from functools import partial

from opus_core.testing.journeys.stage import OnStage, Stage
from opus_core.testing.journeys.witness import LONG
from opus_core.testing.timing import eventually, together

MANY = 20
TEXT = "'single' \"double\" $HOME `x` \\ <b>&amp;</b> \N{TELESCOPE} é"
TABLE = bytes(range(256)) * 40


class RunJourneys(OnStage):
    """From a request to results, to an error, and many at once."""

    def test_an_upload_and_parameters_become_results_byte_for_byte(self, stage: Stage) -> None:
        job = stage.witness(run=False, text=TEXT, RUNID="a night")
        put = stage.request("PUT", f"{job.url}/parameters/table", body=TABLE)
        assert put.status == 303, f"an upload was answered {put.status}: {put.text}"
        assert stage.post(f"{job.url}/parameters", {"number": "2.5"}).status == 303
        assert stage.phase(job.url) == "PENDING"
        job.ask("RUN")
        document = job.ends("COMPLETED")
        assert job.read("results/said") == TEXT.encode(), f"{stage.jdl}, {stage.storage}: a text"
        assert job.read("results/copy") == TABLE, f"{stage.manager}: the copy of an upload"
        assert job.read("stdout") == f"saying {TEXT}\n".encode(), f"stdout by {stage.manager}"
        assert b"complaining of 2.5\n" in job.read("stderr"), f"stderr by {stage.manager}"
        assert document["runId"] == "a night", f"{stage.storage} keeps the RUNID"
        values = {one["id"]: one.get("value") for one in document["parameters"]}
        assert (values["text"], values["number"]) == (TEXT, "2.5"), f"{stage.storage}: parameters"
        results = [(one["id"], one["mime-type"], one["size"]) for one in document["results"]]
        assert results == [
            ("said", "text/plain", len(TEXT.encode())),
            ("copy", "application/octet-stream", len(TABLE)),
        ], f"the results as {stage.jdl} describes them"
        job.has_run_once()

    def test_a_script_that_fails_ends_in_error_with_its_exit_code(self, stage: Stage) -> None:
        job = stage.witness(code="3")
        document = job.ends("ERROR")
        error = document["errorSummary"] or {}
        assert "exit code 3" in error.get("message", ""), (
            f"the exit code, 3, is in the error summary; {stage.manager} submits `run`: {error}"
        )
        assert job.read("stdout") == b"saying hello\n", f"stdout by {stage.manager}"
        assert b"complaining of 0.5\n" in job.read("stderr"), f"stderr by {stage.manager}"

    def test_wait_returns_when_the_phase_changes(self, stage: Stage) -> None:
        job = stage.witness(waits=True)
        job.is_executing()
        begin = time.monotonic()
        timer = threading.Timer(0.5, job.let_end)
        timer.start()
        longest = int(LONG)
        document = stage.document(f"{job.url}?WAIT={longest}&PHASE=EXECUTING")
        timer.join()
        assert document["phase"] != "EXECUTING", (
            f"WAIT={longest} returned after {time.monotonic() - begin:.0f} s, and the phase had not"
            f" changed: {stage.storage} tells waiting clients of a change"
        )
        job.ends("COMPLETED")

    def test_a_repeated_request_with_an_idempotency_key_makes_one_job(self, stage: Stage) -> None:
        fields = {"ledger": str(stage.folder / "ledgers" / f"{stage.name}-once"), "gate": ""}
        post = partial(stage.post, f"/rest/{stage.name}", headers={"Idempotency-Key": stage.name})
        first, second = post(fields), post(fields)
        assert (first.status, second.status) == (303, 303), first.text + second.text
        assert first.location == second.location, f"{stage.storage} made two jobs of one key"
        other = post({**fields, "text": "other"})
        assert other.status == 409, f"another request with that key was answered {other.status}"
        assert len(stage.jobs(stage.name)) == 1, f"{stage.storage} lists more than one job"

    def test_many_jobs_at_once_all_complete_and_none_runs_twice(self, stage: Stage) -> None:
        jobs = [stage.witness(run=False) for _ in range(MANY)]
        together(*(partial(job.ask, "RUN") for job in jobs))
        for job in jobs:
            job.ends("COMPLETED")
        for job in jobs:
            job.has_run_once()
        found = eventually(
            lambda: stage.document(f"/rest/{stage.name}?PHASE=COMPLETED")["jobs"],
            f"{stage.storage} lists jobs that are COMPLETED",
        )
        assert len(found) == MANY, f"{stage.storage} lists {len(found)} of {MANY} COMPLETED jobs"
