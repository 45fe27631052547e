"""Submission: whatever `start` answers, or does not, the script runs once or is known never to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from core.helpers.cluster import SmallManager, Submission
from core.helpers.site import Site, WatchedStorage, a_site
from core.helpers.submissions import LOST, answers, starting
from opus_core import lifecycle, links, supervisor
from opus_core.backends import Task
from opus_core.errors import BackendUnavailable, StorageFull, SubmitDeferred, SubmitRejected
from opus_core.job import Job, Phase, Work, now
from opus_core.testing.memory import MemoryOptions
from opus_core.testing.timing import eventually


@pytest.fixture
def site(tmp_path):
    with a_site(tmp_path) as site:
        yield site


def patient(site: Site, visible_after: float) -> SmallManager:
    """A manager whose scheduler shows submissions only after a while [s]."""
    manager = SmallManager(site.cluster)
    manager.visible_after = visible_after
    return manager


# -- what `start` may say


def test_a_rejection_names_no_place_of_the_server_to_the_owner(site: Site) -> None:
    answers(site, SubmitRejected("there is no job in the folder /usr/opus/jobs/ab"))
    job = site.job()
    site.supervisor()
    done = site.until_released(job, Phase.ERROR)
    assert done.error is not None
    assert done.error.message == "the cluster refused the job: there is no job in the folder ab"


def test_a_rejected_job_is_an_error_and_can_never_run(site: Site) -> None:
    answers(site, SubmitRejected("no such partition 'lang'"))
    job = site.job()
    site.supervisor()
    done = site.until_released(job, Phase.ERROR)
    assert done.error is not None
    assert done.error.message == "the cluster refused the job: no such partition 'lang'"
    assert site.folders.links(job.id).sealed
    assert site.cluster.calls["abort"] == 1
    assert site.cluster.deleted == [job.tag]


def test_a_deferred_job_waits_says_why_and_is_tried_again(site: Site) -> None:
    answers(site, SubmitDeferred("the queue is full"), "ok")
    job = site.job()
    site.supervisor()
    waiting = site.until(job, lambda one: one.watch.attempts == 1, "it was put off")
    assert (waiting.phase, waiting.work) == (Phase.QUEUED, Work.WANTED)
    assert waiting.job_info["waiting"] == "the queue is full"
    assert site.cluster.calls["start"] == 1, "the back-off is 5 s"
    site.storage.pass_time(5)
    done = site.until_released(job, Phase.COMPLETED)
    assert "waiting" not in done.job_info
    assert site.runs() == 1


def test_looking_at_a_deferred_job_does_not_submit_it_sooner(site: Site) -> None:
    answers(site, SubmitDeferred("the queue is full"))
    job = site.job()
    site.supervisor()
    site.until(job, lambda one: one.watch.attempts == 1, "it was put off")
    site.storage.poke("output", job_id=job.id)
    eventually(lambda: not site.storage.universe.rows[job.id].pokes, "the poke is taken")
    assert site.cluster.calls["start"] == 1


@pytest.mark.parametrize("visible_after", [0.0, 0.4])
def test_an_answer_that_is_lost_is_found_again(site: Site, visible_after: float) -> None:
    answers(site, "lost")
    site.cluster.lag = visible_after
    site.cluster.runs_at_once = False
    job = site.job()
    site.supervisor(manager=patient(site, visible_after))
    live = site.until_work(job, Work.LIVE)
    assert live.native_ids == ("1",)
    assert site.cluster.calls["start"] == 1
    site.cluster.begin(site.tag(job.id))
    site.until_released(job, Phase.COMPLETED)


@pytest.mark.parametrize("visible_after", [0.0, 0.4])
def test_what_was_not_submitted_is_submitted_again_after_two_looks(
    site: Site, visible_after: float
) -> None:
    answers(site, LOST, "ok")
    job = site.job()
    site.supervisor(manager=patient(site, visible_after))
    site.until_released(job, Phase.COMPLETED)
    assert site.cluster.calls["start"] == 2
    assert site.cluster.sought[site.tag(job.id)] == 2
    assert site.runs() == 1


def test_nothing_is_submitted_again_while_the_scheduler_cannot_be_asked(site: Site) -> None:
    answers(site, LOST, "ok")
    site.cluster.broken["find"] = BackendUnavailable("down for maintenance")
    job = site.job()
    site.supervisor()
    waiting = site.until(
        job, lambda one: "maintenance" in one.job_info.get("waiting", ""), "it was asked"
    )
    assert waiting.work is Work.STARTING
    assert site.cluster.calls["start"] == 1
    site.cluster.broken.clear()
    site.storage.pass_time(5)
    site.until_released(job, Phase.COMPLETED)


def test_a_claim_makes_it_live_whatever_the_scheduler_says(site: Site) -> None:
    answers(site, "lost")
    site.cluster.broken["find"] = BackendUnavailable("down for maintenance")
    job = site.job("sleep 0.3")
    site.supervisor()
    live = site.until(job, lambda one: one.native_ids == ("1",), "it was adopted")
    assert live.work is not Work.STARTING
    site.until_released(job, Phase.COMPLETED)


def test_a_rejection_that_is_not_true_harms_nobody(site: Site) -> None:
    def fault(task, submit):
        submit()
        raise SubmitRejected("no such partition")

    site.cluster.fault = fault
    site.cluster.runs_at_once = False
    job = site.job()
    site.supervisor()
    site.until_released(job, Phase.ERROR)
    (submission,) = site.cluster.under(site.tag(job.id))
    assert submission.cancelled
    submission.begin()  # too late to be cancelled
    submission.process.wait(20)
    assert site.runs() == 0


def test_a_deferral_that_is_not_true_harms_nobody(site: Site) -> None:
    submitted = []

    def fault(task, submit):
        submitted.append(submit())
        if len(submitted) == 1:
            raise SubmitDeferred("the queue is full")
        return submitted[-1]

    site.cluster.fault = fault
    job = site.job("sleep 0.3")
    site.supervisor()
    site.until(job, lambda one: one.watch.attempts == 1, "it was put off")
    site.storage.pass_time(5)
    done = site.until_released(job, Phase.COMPLETED)
    assert done.native_ids == ("1",)
    assert site.runs() == 1


# -- doubts that meet another wish


def test_a_job_deferred_after_a_call_in_doubt_cannot_run_once_it_is_aborted(site: Site) -> None:
    late = []

    def fault(task, submit):
        if not late:
            late.append(submit)  # sbatch hangs; it will get through much later
            raise LOST
        raise SubmitDeferred("the queue is full")

    site.cluster.fault = fault
    job = site.job()
    site.supervisor()
    site.until(job, lambda one: one.watch.attempts == 1, "the second call was put off")
    site.abort(job)
    site.until_released(job, Phase.ABORTED)
    late[0]()
    (submission,) = site.cluster.under(site.tag(job.id))
    assert submission.process is not None
    submission.process.wait(20)
    assert site.runs() == 0


def test_a_deferred_job_that_was_aborted_meanwhile_is_over(site: Site) -> None:
    job = site.job()

    def fault(task, submit):
        site.abort(job)
        raise SubmitDeferred("the queue is full")

    site.cluster.fault = fault
    site.supervisor()
    done = site.until_phase(job, Phase.ABORTED)
    assert done.work is Work.NONE


def test_a_deferred_job_that_was_deleted_meanwhile_is_removed_without_a_back_off(
    site: Site,
) -> None:
    job = site.job()

    def fault(task, submit):
        site.delete(job)
        raise SubmitDeferred("the queue is full")

    site.cluster.fault = fault
    site.supervisor()
    begin = time.monotonic()
    site.until_removed(job)
    assert time.monotonic() - begin < 4, "the first pause is 5 s"


# -- after a crash


def test_starting_saved_but_start_not_called(site: Site) -> None:
    job = starting(site)
    site.supervisor()
    site.until_released(job, Phase.COMPLETED)
    assert site.cluster.calls["start"] == 1
    assert site.runs() == 1


def test_the_scheduler_has_it_but_its_id_was_not_saved(site: Site) -> None:
    job = starting(site)
    site.cluster.submissions["5"] = Submission("5", site.tag(job.id), site.folders.path(job.id))
    site.cluster.runs_at_once = False
    site.supervisor()
    site.until(job, lambda one: one.native_ids == ("5",), "it was found")
    assert not site.cluster.calls["start"]
    site.cluster.begin(site.tag(job.id))
    site.until_released(job, Phase.COMPLETED)


def test_an_id_that_cannot_be_saved_leaves_starting_and_is_found_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of the storage is full from the moment on when the script is handed over."""
    monkeypatch.setattr(supervisor, "_PENALTY", 0.2)

    class Full(WatchedStorage):
        full = False

        def save(self, job: Job, **more: Any) -> Job:
            if self.full and job.native_ids:
                refused.append(job)
                raise StorageFull("no space is left")
            return super().save(job, **more)

    def fault(task: Task, submit: Callable[[], str]) -> str:
        storage.full = True
        return submit()

    refused: list[Job] = []
    storage = Full(MemoryOptions(universe=site.universe))
    site.cluster.fault = fault
    job = site.job()
    site.supervisor(storage=storage)
    eventually(lambda: len(refused) > 1, "it was tried again")
    stored = site.read(job)
    assert (stored.work, stored.native_ids) == (Work.STARTING, ())
    storage.full = False
    site.until_released(job, Phase.COMPLETED)
    assert site.cluster.calls["start"] == 1
    assert site.runs() == 1


def test_a_job_that_ended_before_its_id_was_saved_ends_at_once_after_restart(site: Site) -> None:
    job = starting(site)
    one = Submission("5", site.tag(job.id), site.folders.path(job.id))
    one.begin()
    site.cluster.submissions["5"] = one
    eventually(lambda: links.peek(one.folder).exit, "the script has ended")
    site.supervisor(poll_interval=3600.0)
    site.until_released(job, Phase.COMPLETED)
    assert not site.cluster.calls["start"]


def test_a_folder_that_was_half_written_is_written_afresh(site: Site) -> None:
    job = site.job("echo 1 > plot", outputs=["plot"])
    folder = site.folders.path(job.id)
    (folder / "input").mkdir(parents=True)
    (folder / "script").write_text("exit 9\n")
    site.supervisor()
    assert site.until_released(job, Phase.COMPLETED).results


def test_ids_are_kept_even_of_a_job_that_has_ended_meanwhile(site: Site) -> None:
    job = starting(site)
    ended = lifecycle.never_begun(job, now=now())
    assert lifecycle.adopt(ended, ["5"]) == replace(ended, native_ids=("5",))
