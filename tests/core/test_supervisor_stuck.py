"""A job, a call or a plugin that is stuck holds up itself and no other."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from core.helpers.cluster import SmallManager
from core.helpers.site import Site, a_site
from opus_core import lifecycle, supervisor
from opus_core.errors import BackendUnavailable
from opus_core.job import DefinitionRef, Phase, Work, now
from opus_core.supervisor import pool
from opus_core.testing.timing import eventually


@pytest.fixture
def site(tmp_path):
    with a_site(tmp_path) as site:
        yield site


def test_a_manager_that_breaks_on_one_job_goes_on_with_the_others(site: Site) -> None:
    bad, good = site.job(), site.job()

    def fault(task, submit):
        if task.job_id == bad.id:
            raise RuntimeError("a mistake of the plugin")
        return submit()

    site.cluster.fault = fault
    site.supervisor()
    site.until_released(good, Phase.COMPLETED)
    assert (site.read(bad).phase, site.read(bad).work) == (Phase.QUEUED, Work.STARTING)


def test_a_job_is_submitted_after_all_when_the_mistake_is_mended(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(supervisor, "_PENALTY", 0.2)
    site.cluster.broken["start"] = RuntimeError("a mistake of the plugin")
    job = site.job()
    site.supervisor()
    site.until_work(job, Work.STARTING)
    site.cluster.broken.clear()
    site.until_released(job, Phase.COMPLETED)
    assert site.runs() == 1


@pytest.mark.parametrize("error", [OSError, BackendUnavailable])
def test_a_folder_that_cannot_be_read_hides_no_other(site: Site, error) -> None:
    bad, good = site.job("sleep 60"), site.job("sleep 0.2")

    class Stumbling(SmallManager):
        def peek(self, tasks):
            if bad.tag in [task.ref.tag for task in tasks]:
                raise error("Input/output error")
            return super().peek(tasks)

    site.supervisor(manager=Stumbling(site.cluster))
    site.until_released(good, Phase.COMPLETED)
    assert site.read(bad).phase is Phase.QUEUED


def test_a_running_job_whose_description_is_gone_hides_no_other(site: Site) -> None:
    site.supervisor()
    bad, good = site.job("sleep 60"), site.job("sleep 0.5")
    site.until_phase(bad, Phase.EXECUTING)
    site.ask(bad, lambda job, now: replace(job, definition=DefinitionRef("nobody", 7)))
    # Now all are looked at together.
    site.cluster.broken["get_status"] = BackendUnavailable("no answer")
    site.until_released(good, Phase.COMPLETED)


def test_hanging_submissions_do_not_keep_ended_jobs_from_being_fetched(site: Site) -> None:
    site.supervisor()
    job = site.job("while [ ! -e go ]; do sleep 0.05; done")
    site.until_phase(job, Phase.EXECUTING)
    site.cluster.open.clear()
    waiting = [site.job() for _ in range(300)]  # more than are listed at once, and due before
    site.cluster.hanging.acquire()
    (site.folders.path(job.id) / "work" / "go").touch()
    doomed = site.delete(waiting[-1])
    site.until_released(job, Phase.COMPLETED)
    site.delete(job)
    site.until_removed(job)
    assert doomed.work is Work.NONE

    def fault(task, submit):
        raise BackendUnavailable("so that nothing of the 300 is started at the end")

    site.cluster.fault = fault


def test_a_line_that_is_full_leaves_jobs_due_and_takes_them_later(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(pool, "LINE", 2)
    site.cluster.open.clear()
    jobs = [site.job() for _ in range(5)]
    site.supervisor()
    site.cluster.hanging.acquire()
    site.cluster.open.set()
    for job in jobs:
        site.until_released(job, Phase.COMPLETED)


def test_hanging_fetches_do_not_keep_a_running_job_from_being_aborted(site: Site) -> None:
    site.supervisor()
    job = site.job("sleep 60")
    site.until_phase(job, Phase.EXECUTING)
    site.cluster.delivers.clear()
    ended = [site.job() for _ in range(SmallManager.parallel)]
    for one in ended:
        site.until_work(one, Work.ENDED)
        site.cluster.hanging.acquire()
    site.storage.poke("output", job_id=job.id)  # stands in line behind them
    eventually(lambda: not site.storage.universe.rows[job.id].pokes, "the poke is taken")
    site.abort(job)
    site.until_phase(job, Phase.ABORTED)


def test_a_web_that_changes_a_job_all_the_time_does_not_keep_it_from_its_end(site: Site) -> None:
    site.supervisor()
    job = site.job("sleep 0.3")
    stop = threading.Event()

    def hammer() -> None:
        day = 0
        while not stop.wait(0.002):
            day = day % 300 + 1
            later = now() + timedelta(days=day)
            site.ask(
                job,
                lambda job, now, later=later: lifecycle.set_destruction(job, later, latest=None),
            )

    threads = [threading.Thread(target=hammer) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        site.until_released(job, Phase.COMPLETED)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
