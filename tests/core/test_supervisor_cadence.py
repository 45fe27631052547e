"""How often the scheduler is asked: less if it answers slowly, and for no other reason."""

from __future__ import annotations

import threading
import time

import pytest

from core.helpers.cluster import SmallManager
from core.helpers.site import Site, WatchedStorage, a_site
from opus_core import lifecycle
from opus_core.backends import Cause, Kind, Status
from opus_core.errors import BackendUnavailable
from opus_core.job import Phase, Work
from opus_core.supervisor import questions
from opus_core.testing.memory import MemoryOptions
from opus_core.testing.timing import eventually


@pytest.fixture
def site(tmp_path):
    with a_site(tmp_path) as site:
        yield site


class SlowStorage(WatchedStorage):
    """Takes a second to save what a poll has found, as one does that others keep locked."""

    def save(self, job, **more):
        if threading.current_thread().name == "opus-poll" and job.phase is Phase.SUSPENDED:
            threading.Event().wait(1.0)
        return super().save(job, **more)


def test_a_slow_storage_does_not_put_off_the_next_poll(site: Site) -> None:
    job = site.job("sleep 60")
    site.supervisor(storage=SlowStorage(MemoryOptions(universe=site.universe)))
    (native_id,) = site.until_work(job, Work.LIVE).native_ids
    site.until_phase(job, Phase.EXECUTING)
    site.cluster.says[native_id] = Status(kind=Kind.SUSPENDED)
    site.until_phase(job, Phase.SUSPENDED)
    begin = time.monotonic()
    site.cluster.says[native_id] = Status(kind=Kind.RUNNING)
    site.until_phase(job, Phase.EXECUTING)
    assert time.monotonic() - begin < 3.0


def test_a_slow_scheduler_is_asked_less(site: Site) -> None:
    site.job("sleep 60")
    site.supervisor()
    eventually(lambda: site.cluster.calls["get_status"] >= 3, "it is polled")
    asked: list[float] = []
    answer = site.manager.get_status

    def slowly(refs):
        asked.append(time.monotonic())
        threading.Event().wait(0.3)
        return answer(refs)

    site.manager.get_status = slowly
    eventually(lambda: len(asked) >= 2, "it is polled twice more")
    assert asked[1] - asked[0] >= 1.5


def test_who_may_not_be_asked_about_at_once_is_heard_with_the_next_poll(site: Site) -> None:
    """Polls that come as often as events may be followed would else be the only questions."""
    site.cluster.runs_at_once = False
    site.supervisor(poll_interval=1.0, event_interval=1.0)
    job = site.job()
    site.until_work(job, Work.LIVE)
    (submission,) = site.cluster.under(site.tag(job.id))
    submission.held = True
    site.until_phase(job, Phase.HELD)
    begin = time.monotonic()
    site.ask(job, lifecycle.run, tag="", can_resume=True)
    site.until_phase(job, Phase.QUEUED)
    assert time.monotonic() - begin < 4.0


def test_one_that_did_not_answer_is_asked_again_soon(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(questions, "_SILENCE", 0.5)
    site.job("sleep 60")
    site.supervisor()
    eventually(lambda: site.cluster.calls["get_status"] >= 3, "it is polled")
    asked: list[float] = []

    def hang(refs):
        asked.append(time.monotonic())
        threading.Event().wait(1.0)
        raise BackendUnavailable("it hangs")

    site.manager.get_status = hang
    eventually(lambda: len(asked) >= 3, "it is polled twice more")
    assert asked[2] - asked[1] < 4.0, "not five times the second that it took"


def test_an_event_that_the_folder_does_not_explain_is_a_question(site: Site) -> None:
    """A completion script of the cluster tells of what ended before it began, as nothing else
    does."""
    site.cluster.runs_at_once = False
    site.supervisor(poll_interval=3600.0)
    job = site.job()
    (native_id,) = site.until_work(job, Work.LIVE).native_ids
    site.cluster.says[native_id] = Status(kind=Kind.ENDED, cause=Cause.CANCELLED)
    site.storage.poke("event", job_id=job.id)
    site.until_phase(job, Phase.ABORTED)


def test_an_event_during_an_outage_is_not_forgotten(site: Site) -> None:
    site.supervisor(poll_interval=3600.0)
    job = site.job("sleep 1")
    site.until_work(job, Work.LIVE)
    site.cluster.broken["peek"] = BackendUnavailable("no connection")
    eventually(lambda: site.folders.links(job.id).exit, "the script has ended")
    calls = site.cluster.calls["peek"]
    site.storage.poke("event", job_id=job.id)
    eventually(lambda: site.cluster.calls["peek"] > calls, "it was looked at")
    site.cluster.broken.clear()
    site.storage.pass_time(10)
    site.until_released(job, Phase.COMPLETED)


def test_a_job_whose_question_has_to_wait_is_removed_all_the_same(site: Site) -> None:
    class Slow(SmallManager):
        def get_status(self, refs):
            time.sleep(0.3)  # so that no further question is put for a while
            return super().get_status(refs)

    site.supervisor(manager=Slow(site.cluster), poll_interval=3600.0)
    job = site.job("sleep 60")
    site.until_runs()
    site.storage.poke("event", job_id=job.id)
    site.until_phase(job, Phase.EXECUTING)
    for _ in range(3):
        site.storage.poke("event", job_id=job.id)
        time.sleep(0.4)
    site.delete(job)
    site.until_removed(job)
