"""Journeys of jobs whose server is killed or stopped on the way, and started again."""

from __future__ import annotations

from typing import Any

from opus_core.testing.journeys.stage import OnStage, Stage
from opus_core.testing.timing import eventually


class RestartJourneys(OnStage):
    """A server that is gone loses no job, and none runs twice."""

    def test_a_job_runs_on_once_while_its_server_is_killed(self, stage: Stage) -> None:
        job = stage.witness(waits=True, text="kept")
        job.is_executing()
        stage.kill()
        stage.serve()
        assert stage.get(job.url).status == 200, f"{stage.storage} has forgotten a running job"
        job.let_end()
        job.ends("COMPLETED")
        job.has_run_once()
        assert job.read("results/said") == b"kept"

    def test_a_job_whose_server_is_killed_at_run_runs_once(self, stage: Stage) -> None:
        jobs = [stage.witness(run=False) for _ in range(3)]
        for job in jobs:
            job.ask("RUN")
        stage.kill()
        stage.serve()
        for job in jobs:
            assert stage.get(job.url).status == 200, (
                f"{stage.storage} has forgotten a job whose RUN was answered"
            )
            job.ends("COMPLETED")
            job.has_run_once()

    def test_a_server_that_is_stopped_leaves_its_jobs_running(self, stage: Stage) -> None:
        job = stage.witness(waits=True)
        job.is_executing()
        stage.terminate()
        assert job.beats(), f"{stage.manager} has stopped a job because the server stopped"
        job.let_end()
        eventually(lambda: not job.beats(), f"the script of {stage.manager} ends")
        stage.serve()
        job.ends("COMPLETED")
        job.has_run_once()

    def test_a_second_supervisor_waits_and_takes_over(self, stage: Stage) -> None:
        second = stage.start("supervise")
        jobs = [stage.witness(waits=True) for _ in range(2)]
        for job in jobs:
            job.is_executing()
        stage.kill()
        for job in jobs:
            job.let_end()
        stage.serve()
        for job in jobs:
            job.ends("COMPLETED")
            job.has_run_once()
        assert second.poll() is None, "the second supervisor has ended; see its log"
        stage.processes.remove(second)
        second.terminate()
        assert second.wait(30) == 0, "the second supervisor did not end well"

    def test_a_restarted_server_knows_what_it_knew(self, stage: Stage) -> None:
        since = stage.document("/changes")["seq"]
        completed = stage.witness(text="kept", RUNID="kept")
        pending = stage.witness(run=False, text="later")
        aborted, deleted = (stage.witness(run=False) for _ in range(2))
        aborted.ask("ABORT")
        deleted.delete()
        completed.ends("COMPLETED")
        jobs = (completed, pending, aborted)

        def known() -> dict[str, Any]:
            documents = {job.id: job.document() | {"jobInfo": None} for job in jobs}
            listed = stage.document(f"/rest/{stage.name}")["jobs"]
            told = stage.document(f"/changes?after={since}")["changes"]
            ours = {job.id for job in (*jobs, deleted)}
            return {
                "jobs": documents,
                "list": listed,
                "changes": [one for one in told if one["jobId"] in ours],
                "deleted": stage.get(deleted.url).status,
            }

        before = known()
        stage.kill()
        stage.serve()
        lost = [job.url for job in jobs if stage.get(job.url).status != 200]
        assert not lost, f"{stage.storage} has forgotten {len(lost)} of 3 jobs at a restart"
        after = known()
        for what in before:
            assert after[what] == before[what], f"{stage.storage} after a restart: {what}"
        assert completed.read("results/said") == b"kept", "a result after a restart"
        pending.ask("RUN")
        pending.ends("COMPLETED")
        assert pending.read("results/said") == b"later"
