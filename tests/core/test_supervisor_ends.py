"""How jobs end: by the exit, by the scheduler's word, or by nobody knowing of them any more."""

from __future__ import annotations

import os
import signal

import pytest

from core.helpers.cluster import Submission
from core.helpers.site import Site, a_site
from opus_core import lifecycle
from opus_core.backends import Cause, HealthState, Kind, Status
from opus_core.errors import BackendUnavailable
from opus_core.job import ErrorType, Job, Mark, Phase, Work
from opus_core.testing.timing import eventually


@pytest.fixture
def site(tmp_path):
    with a_site(tmp_path) as site:
        yield site


def a_running_job(site: Site, script: str = "sleep 60", **changes) -> tuple[Job, Submission]:
    """A job whose script runs, and the submission that runs it."""
    job = site.job(script, **changes)
    site.until_phase(job, Phase.EXECUTING)
    eventually(lambda: site.folders.links(job.id).begun, "the script has begun")
    (submission,) = site.cluster.under(site.tag(job.id))
    return job, submission


def stopped(site: Site, job: Job, submission: Submission) -> None:
    """Tell the wrapper to stop; it reports the end as it does to a server."""
    submission.process.send_signal(signal.SIGTERM)
    eventually(lambda: site.folders.links(job.id).exit, "the wrapper has written the exit")
    site.storage.poke("event", job_id=job.id)


def ended(cause: Cause, reason: str = "") -> Status:
    return Status(kind=Kind.ENDED, cause=cause, reason=reason)


def message(job: Job) -> str:
    return job.error.message if job.error else ""


# -- by the exit


@pytest.mark.parametrize(
    ("script", "phase", "said"),
    [
        ("exit 0", Phase.COMPLETED, ""),
        ("exit 3", Phase.ERROR, "the script ended with exit code 3"),
        ("kill -KILL $$", Phase.ERROR, "the script was ended by signal 9"),
    ],
)
def test_the_exit_says_how_a_script_ended(site: Site, script, phase, said) -> None:
    job = site.job(script)
    site.supervisor()
    done = site.until_released(job, phase)
    assert message(done) == said
    assert done.started is not None


def test_a_job_beyond_its_execution_duration_is_aborted(site: Site) -> None:
    job = site.job("sleep 60", execution_duration=1)
    site.supervisor()
    done = site.until_released(job, Phase.ABORTED)
    assert message(done) == "execution duration of 1 s exceeded"


def test_a_site_may_call_that_an_error(site: Site) -> None:
    job = site.job("sleep 60", execution_duration=1)
    site.supervisor(policy=lifecycle.Policy(overuse_is_error=True))
    site.until_released(job, Phase.ERROR)


def test_a_job_told_to_stop_ends_by_the_cause_that_the_scheduler_names(site: Site) -> None:
    site.supervisor(policy=lifecycle.Policy(grace=60))
    job, submission = a_running_job(site)
    site.cluster.says[submission.native_id] = Status(kind=Kind.RUNNING)
    stopped(site, job, submission)
    site.until(job, lambda one: one.watch.over is not None, "its end is seen, not its cause")
    assert site.read(job).phase is Phase.EXECUTING
    site.cluster.says[submission.native_id] = ended(Cause.PREEMPTED)
    done = site.until_released(job, Phase.ABORTED)
    assert message(done) == "it had to make room for another job; run it again"


@pytest.mark.parametrize("late", [Kind.RUNNING, Kind.GONE])
def test_a_job_told_to_stop_for_no_known_cause_was_stopped_by_the_system(site: Site, late) -> None:
    site.supervisor()
    job, submission = a_running_job(site)
    site.cluster.says[submission.native_id] = Status(kind=late)
    stopped(site, job, submission)
    done = site.until_released(job, Phase.ABORTED)
    assert message(done) == "stopped by the system"


def test_a_job_that_the_cluster_ran_again_after_it_had_begun_is_an_error(site: Site) -> None:
    site.supervisor()
    job, submission = a_running_job(site)
    site.cluster.says[submission.native_id] = Status(kind=Kind.QUEUED)  # requeued
    submission.kill()
    site.until_phase(job, Phase.SUSPENDED)
    submission.begin()
    eventually(lambda: site.folders.links(job.id).exit, "the second wrapper has left")
    del site.cluster.says[submission.native_id]
    done = site.until_released(job, Phase.ERROR)
    assert message(done) == "the cluster restarted it after it had begun; run it again"
    assert done.error is not None
    assert done.error.type is ErrorType.TRANSIENT
    assert site.runs() == 1


def test_a_job_that_the_cluster_ran_again_before_it_had_begun_runs(site: Site) -> None:
    site.cluster.runs_at_once = False
    site.supervisor()
    job = site.job()
    live = site.until_work(job, Work.LIVE)
    # Its node failed between the two links.
    os.symlink(live.native_ids[0], site.folders.path(job.id) / "claim")
    site.cluster.begin(site.tag(job.id))
    site.until_released(job, Phase.COMPLETED)
    assert site.runs() == 1


def test_memory_is_named_where_the_scheduler_says_so_in_time(site: Site) -> None:
    first = site.supervisor(poll_interval=3600.0)
    job = site.job()
    site.until_work(job, Work.LIVE)
    eventually(lambda: site.folders.links(job.id).exit, "the script has ended")
    first.stop()
    site.cluster.says[site.native_ids(job)[0]] = ended(Cause.MEMORY)
    site.supervisor()
    done = site.until_released(job, Phase.ABORTED)
    assert message(done) == "memory limit exceeded; ask for more memory"


# -- by the scheduler


@pytest.mark.parametrize("cause", [Cause.OK, Cause.FAILED])
def test_an_end_without_an_exit_was_not_recorded(site: Site, cause) -> None:
    site.supervisor()
    job, submission = a_running_job(site)
    submission.kill()
    site.cluster.says[submission.native_id] = ended(cause, "exit 1")
    done = site.until_released(job, Phase.ERROR)
    assert message(done) == ("its end was not recorded (the cluster says: exit 1); run it again")
    assert done.error is not None
    assert done.error.type is ErrorType.TRANSIENT


def test_an_exit_that_comes_late_counts(site: Site) -> None:
    site.supervisor(policy=lifecycle.Policy(grace=30))
    job, submission = a_running_job(site, "while [ ! -e go ]; do sleep 0.05; done")
    site.cluster.says[submission.native_id] = ended(Cause.OK)
    site.until(job, lambda one: one.watch.over is not None, "the scheduler says it is over")
    (site.folders.path(job.id) / "work" / "go").touch()
    site.until_released(job, Phase.COMPLETED)


@pytest.mark.parametrize(
    ("cause", "phase", "said"),
    [
        (Cause.TIME_LIMIT, Phase.ABORTED, "execution duration exceeded"),
        (Cause.MEMORY, Phase.ABORTED, "memory limit exceeded"),
        (Cause.CANCELLED, Phase.ABORTED, "cancelled on the cluster (the cluster says: by root)"),
        (Cause.DEADLINE, Phase.ABORTED, "it could not be started in time"),
        (Cause.LAUNCH, Phase.ERROR, "the cluster could not launch it"),
        (Cause.NODE, Phase.ERROR, "the machine it ran on failed"),
        (Cause.PREEMPTED, Phase.ABORTED, "it had to make room for another job"),
    ],
)
def test_other_causes_end_a_job_without_waiting_for_an_exit(site: Site, cause, phase, said) -> None:
    site.supervisor(policy=lifecycle.Policy(grace=3600))
    job, submission = a_running_job(site)
    submission.kill()
    site.cluster.says[submission.native_id] = ended(cause, "by root")
    done = site.until_released(job, phase)
    assert message(done).startswith(said)


def test_a_job_whose_node_failed_may_be_queued_again(site: Site) -> None:
    site.supervisor(poll_interval=0.3)
    job, submission = a_running_job(site)
    site.cluster.says[submission.native_id] = ended(Cause.NODE)
    site.until(job, lambda one: one.watch.over is not None, "its node failed")
    site.cluster.says[submission.native_id] = Status(kind=Kind.QUEUED)
    site.until_phase(job, Phase.SUSPENDED)
    del site.cluster.says[submission.native_id]
    site.until_phase(job, Phase.EXECUTING)


def test_why_a_job_waits_is_told_though_nothing_else_changes(site: Site) -> None:
    site.cluster.runs_at_once = False
    site.supervisor()
    job = site.job()
    live = site.until_work(job, Work.LIVE)
    for reason in ("Resources", "Priority", ""):
        site.cluster.says[live.native_ids[0]] = Status(kind=Kind.QUEUED, reason=reason)
        site.until(
            job, lambda one, reason=reason: one.job_info.get("waiting", "") == reason, "it shows"
        )
    assert site.read(job).version == live.version


def test_why_a_job_waited_is_forgotten_when_it_runs_again(site: Site) -> None:
    site.supervisor()
    job, submission = a_running_job(site)
    site.cluster.says[submission.native_id] = Status(kind=Kind.QUEUED, reason="BeginTime")
    site.until(job, lambda one: one.job_info.get("waiting") == "BeginTime", "the reason shows")
    assert site.read(job).phase is Phase.SUSPENDED
    del site.cluster.says[submission.native_id]
    site.until_phase(job, Phase.EXECUTING)
    site.until(job, lambda one: "waiting" not in one.job_info, "it does not wait any more")


def test_a_job_that_was_stopped_and_queued_again_is_called_off(site: Site) -> None:
    site.supervisor()
    job, submission = a_running_job(site)
    site.cluster.says[submission.native_id] = Status(kind=Kind.QUEUED, restarts=1)
    stopped(site, job, submission)
    done = site.until_released(job, Phase.ERROR)
    assert message(done) == "the cluster restarted it after it had begun; run it again"
    eventually(lambda: submission.cancelled, "it is told to leave the queue")


def test_a_held_job_is_released_by_run(site: Site) -> None:
    site.cluster.runs_at_once = False
    site.supervisor()
    job = site.job()
    site.until_work(job, Work.LIVE)
    (submission,) = site.cluster.under(site.tag(job.id))
    submission.held = True
    site.until_phase(job, Phase.HELD)
    site.cluster.broken["resume"] = BackendUnavailable("busy")
    site.ask(job, lifecycle.run, tag="", can_resume=True)
    eventually(lambda: site.cluster.calls["resume"], "it was tried")
    site.cluster.broken.clear()
    site.storage.pass_time(5)
    site.until_phase(job, Phase.QUEUED)
    assert Mark.RESUME_REQUESTED not in site.read(job).marks
    site.cluster.begin(site.tag(job.id))
    site.until_released(job, Phase.COMPLETED)
    assert site.cluster.calls["start"] == 1, "RUN of a HELD job never submits"


def test_a_held_job_that_stays_held_can_be_asked_for_again(site: Site) -> None:
    site.cluster.runs_at_once = False
    site.supervisor()
    job = site.job()
    live = site.until_work(job, Work.LIVE)
    site.cluster.says[live.native_ids[0]] = Status(kind=Kind.HELD, reason="JobHeldAdmin")
    site.until_phase(job, Phase.HELD)
    site.until(job, lambda one: one.job_info.get("waiting") == "JobHeldAdmin", "the reason shows")
    for times in (1, 2):
        site.ask(job, lifecycle.run, tag="", can_resume=True)
        eventually(lambda times=times: site.cluster.calls["resume"] == times, "it was asked")
        site.until(job, lambda one: not one.marks, "the wish was passed on")


def test_a_job_that_never_began_is_sealed_before_it_is_said_to_be_over(site: Site) -> None:
    """A submission that nobody knows of may still arrive."""
    site.cluster.runs_at_once = False
    site.supervisor()
    job = site.job()
    live = site.until_work(job, Work.LIVE)
    site.cluster.broken["seal"] = BackendUnavailable("no answer")
    site.cluster.says[live.native_ids[0]] = ended(Cause.CANCELLED)
    eventually(lambda: site.cluster.calls["seal"], "it was to be sealed")
    assert site.read(job).phase is Phase.QUEUED
    late = Submission("99", site.tag(job.id), site.folders.path(job.id))
    site.cluster.submissions["99"] = late
    late.begin()
    eventually(lambda: site.folders.links(job.id).begun, "it was faster")
    site.cluster.broken.clear()
    site.storage.pass_time(5)
    done = site.until_released(job, Phase.COMPLETED)
    assert done.native_ids == ("99",)


# -- by nobody


def test_a_lost_job_that_never_began_is_sealed_and_cannot_begin_any_more(site: Site) -> None:
    site.cluster.runs_at_once = False
    site.supervisor()
    job = site.job()
    live = site.until_work(job, Work.LIVE)
    submission = site.cluster.submissions.pop(live.native_ids[0])
    done = site.until_released(job, Phase.ERROR)
    assert message(done) == (
        "the job was lost: the small manager and the job's folder know nothing of it, and it had"
        " not begun; run it again"
    )
    submission.begin()  # the scheduler finds it after all
    submission.process.wait(20)
    assert site.runs() == 0


def test_a_lost_job_that_had_begun_is_stopped_by_its_tag(site: Site) -> None:
    site.supervisor()
    job, submission = a_running_job(site)
    site.cluster.says[submission.native_id] = Status(kind=Kind.GONE)
    done = site.until_released(job, Phase.ERROR)
    assert "what it was doing is not known" in message(done)
    assert submission.cancelled
    eventually(lambda: submission.process.poll() is not None, "the wrapper has ended")


def test_a_job_that_was_gone_for_a_moment_is_not_lost(site: Site) -> None:
    site.supervisor(policy=lifecycle.Policy(grace=60))
    job, submission = a_running_job(site)
    site.cluster.says[submission.native_id] = Status(kind=Kind.GONE)
    site.until(job, lambda one: one.watch.gone is not None, "nobody knows it")
    del site.cluster.says[submission.native_id]
    site.until(job, lambda one: one.watch.gone is None, "it is back")
    assert site.read(job).phase is Phase.EXECUTING


def test_what_answers_under_another_name_is_not_the_job(site: Site) -> None:
    site.cluster.runs_at_once = False
    site.supervisor()
    job = site.job()
    live = site.until_work(job, Work.LIVE)
    native_id = live.native_ids[0]
    with site.cluster.lock:  # the controller lost its state and gives the number out again
        site.cluster.submissions[native_id] = Submission(native_id, "stranger", site.folders.root)
    site.until_released(job, Phase.ERROR)
    assert not site.cluster.submissions[native_id].cancelled


def test_a_word_that_nobody_knows_changes_nothing_and_is_logged_once(site: Site, caplog) -> None:
    site.supervisor()
    job, submission = a_running_job(site)
    before = site.read(job)
    polls = site.cluster.calls["get_status"]
    site.cluster.says[submission.native_id] = Status(
        kind=Kind.UNRECOGNISED, native_state="STAGED_IN"
    )
    eventually(lambda: site.cluster.calls["get_status"] > polls + 3, "it was polled")
    assert site.read(job) == before
    assert caplog.text.count("STAGED_IN") == 1


def test_a_cluster_that_does_not_answer_changes_nothing_and_health_says_so(site: Site) -> None:
    site.supervisor()
    job, _ = a_running_job(site)
    before = site.read(job)
    site.cluster.broken["get_status"] = BackendUnavailable("no answer")
    health = eventually(
        lambda: site.storage.health()["manager"].state is HealthState.DOWN, "health says so"
    )
    assert health
    polls = site.cluster.calls["get_status"]
    eventually(lambda: site.cluster.calls["get_status"] > polls + 3, "it was polled")
    assert site.read(job) == before
    site.cluster.broken.clear()
    eventually(lambda: site.storage.health()["manager"].state is HealthState.OK, "it is back")


def test_health_knows_of_a_cluster_that_takes_nothing_though_no_job_is_on_it(site: Site) -> None:
    def state() -> HealthState | None:
        said = site.storage.health().get("manager")
        return said and said.state

    site.cluster.down = True
    site.supervisor()
    eventually(lambda: state() is HealthState.DOWN, "it was asked before it was called well")
    site.cluster.down = False
    eventually(lambda: state() is HealthState.OK, "it is back")
    site.cluster.down = True
    job = site.job()
    eventually(lambda: state() is HealthState.DOWN, "a submission that failed is a reason to ask")
    site.cluster.down = False
    site.until_released(job, Phase.COMPLETED)
    assert state() is HealthState.OK


def test_an_exit_is_seen_while_the_scheduler_does_not_answer(site: Site) -> None:
    site.supervisor()
    site.cluster.broken["get_status"] = BackendUnavailable("no answer")
    job = site.job("sleep 0.3")
    site.until_released(job, Phase.COMPLETED)
