"""Journeys of jobs that are stopped: by their owner, by their execution duration, by deletion."""

from __future__ import annotations

from opus_core.testing.journeys.stage import OnStage, Stage
from opus_core.testing.journeys.witness import LONG
from opus_core.testing.timing import eventually


class StopJourneys(OnStage):
    """Nothing of a job that was stopped goes on running."""

    def test_abort_stops_a_running_script_and_keeps_the_job(self, stage: Stage) -> None:
        job = stage.witness(waits=True)
        job.is_executing()
        job.ask("ABORT")
        job.ends("ABORTED")
        job.is_dead("ABORT")
        job.ask("ABORT")
        assert stage.phase(job.url) == "ABORTED"
        assert job.read("stdout") == b"saying hello\n", "what it had said is kept"

    def test_abort_of_a_pending_job_is_immediate_and_it_never_runs(self, stage: Stage) -> None:
        job = stage.witness(run=False)
        job.ask("ABORT")
        assert stage.phase(job.url) == "ABORTED"
        refused = stage.post(f"{job.url}/phase", {"PHASE": "RUN"})
        assert refused.status >= 400, f"RUN of an ABORTED job was answered {refused.status}"
        assert job.runs == 0

    def test_the_execution_duration_ends_a_job(self, stage: Stage) -> None:
        job = stage.witness(waits=True, EXECUTIONDURATION="1")
        expected = "ERROR" if stage.loaded.jobs.overuse_is_error else "ABORTED"
        document = job.ends(expected)
        message = (document["errorSummary"] or {}).get("message", "")
        assert "execution duration of 1 s exceeded" in message, message
        job.is_dead("its execution duration")

    def test_a_running_job_that_is_deleted_leaves_nothing(self, stage: Stage) -> None:
        job = stage.witness(waits=True)
        job.is_executing()
        folder = stage.job_folder(job.id)
        job.delete()
        status = stage.get(job.url).status
        assert status == 404, f"{stage.storage} answers {status} for a deleted job"
        assert stage.jobs(stage.name) == [], f"{stage.storage} lists a deleted job"
        job.is_dead("DELETE")
        eventually(
            lambda: not folder.exists(),
            f"{stage.manager} has said that the job is over, and its folder is gone",
            LONG,
        )
