"""What happens to jobs is told once, and followed until it is understood."""

from __future__ import annotations

import threading

import pytest

from core.helpers.cluster import SmallManager
from core.helpers.site import Site, WatchedStorage, a_site
from opus_core.backends import Kind, Status
from opus_core.errors import BackendUnavailable, Unavailable
from opus_core.job import Phase, Work
from opus_core.supervisor import attention
from opus_core.testing.memory import MemoryOptions
from opus_core.testing.timing import eventually

NEVER = 3600.0  # [s] between two polls


@pytest.fixture
def site(tmp_path):
    with a_site(tmp_path) as site:
        yield site


def begun(site: Site, script: str = "sleep 60"):
    """A job of which the supervisor knows no more than that it was submitted, though it runs."""
    job = site.job(script)
    site.until_work(job, Work.LIVE)
    eventually(lambda: site.folders.links(job.id).begun, "the script has begun")
    (submission,) = site.cluster.under(site.tag(job.id))
    return job, submission


def test_a_job_that_is_killed_before_anybody_looks_at_it_ends(site: Site) -> None:
    """The folder shows that it has begun, and will never show that it has ended."""
    site.supervisor(poll_interval=NEVER)
    job, submission = begun(site)
    submission.kill()
    site.storage.poke("event", job_id=job.id)
    site.until_released(job, Phase.ERROR)
    assert site.phases(job) == [Phase.QUEUED, Phase.EXECUTING, Phase.ERROR]


def test_of_one_that_begins_the_scheduler_is_not_asked(site: Site) -> None:
    site.supervisor(poll_interval=NEVER)
    job, _ = begun(site)
    asked = site.cluster.calls["get_status"]
    site.storage.poke("begin", job_id=job.id)
    site.until_phase(job, Phase.EXECUTING)
    assert site.cluster.calls["get_status"] == asked


def test_one_that_is_said_to_begin_and_shows_no_mark_of_it_is_asked_about(site: Site) -> None:
    """Folders of other hosts show what has changed in them seconds later."""
    site.cluster.runs_at_once = False
    site.supervisor(poll_interval=NEVER)
    job = site.job()
    (native_id,) = site.until_work(job, Work.LIVE).native_ids
    site.cluster.says[native_id] = Status(kind=Kind.RUNNING)
    site.storage.poke("begin", job_id=job.id)
    site.until_phase(job, Phase.EXECUTING)


def test_an_event_during_a_look_is_followed_by_another_look(site: Site) -> None:
    begins, goes_on = threading.Event(), threading.Event()

    class Pausing(SmallManager):
        def peek(self, tasks):
            found = super().peek(tasks)
            begins.set()
            assert goes_on.wait(30)
            return found

    supervisor = site.supervisor(manager=Pausing(site.cluster), poll_interval=NEVER)
    job, submission = begun(site)
    site.storage.poke("begin", job_id=job.id)
    assert begins.wait(30)
    submission.kill()
    assert supervisor.look_at(job.id)
    goes_on.set()
    site.until_released(job, Phase.ERROR)


def test_an_event_is_not_lost_with_the_storage(site: Site) -> None:
    failed = threading.Event()

    class Failing(WatchedStorage):
        def read(self, job_id, *, doomed=False):
            if threading.current_thread().name == "opus-poll" and not failed.is_set():
                failed.set()
                raise Unavailable("the database restarts")
            return super().read(job_id, doomed=doomed)

    storage = Failing(MemoryOptions(universe=site.universe))
    site.supervisor(storage=storage, poll_interval=NEVER)
    job, submission = begun(site)
    submission.kill()
    site.storage.poke("event", job_id=job.id)
    site.until_released(job, Phase.ERROR)
    assert failed.is_set()


def test_a_scheduler_that_is_not_done_with_an_end_is_asked_again(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(attention, "_SOON", 0.01)
    site.supervisor(poll_interval=NEVER)
    job, submission = begun(site)
    site.cluster.says[submission.native_id] = Status(
        kind=Kind.UNRECOGNISED, native_state="COMPLETING"
    )
    submission.kill()
    asked = site.cluster.calls["get_status"]
    site.storage.poke("event", job_id=job.id)
    eventually(lambda: site.cluster.calls["get_status"] >= asked + 3, "it is asked again")
    assert site.read(job).work is Work.LIVE
    del site.cluster.says[submission.native_id]
    site.until_released(job, Phase.ERROR)


def test_whoever_reads_the_output_meanwhile_takes_nothing_away(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(attention, "_SOON", 0.5)
    site.supervisor(poll_interval=NEVER)
    job, submission = begun(site)
    completing = Status(kind=Kind.UNRECOGNISED, native_state="COMPLETING")
    site.cluster.says[submission.native_id] = completing
    submission.kill()
    asked = site.cluster.calls["get_status"]
    site.storage.poke("event", job_id=job.id)
    eventually(lambda: site.cluster.calls["get_status"] > asked, "it is asked about")
    del site.cluster.says[submission.native_id]
    peeked = site.cluster.calls["peek"]
    site.storage.poke("output", job_id=job.id)
    eventually(lambda: site.cluster.calls["peek"] > peeked, "it is looked at")
    site.until_released(job, Phase.ERROR)


@pytest.mark.parametrize("method", ["get_status", "peek"])
def test_an_event_is_not_lost_with_the_cluster(site: Site, monkeypatch, method: str) -> None:
    monkeypatch.setattr(attention, "_SOON", 0.2)
    site.supervisor(poll_interval=NEVER)
    job, submission = begun(site)
    submission.kill()
    site.cluster.broken[method] = BackendUnavailable("the cluster does not answer")
    called = site.cluster.calls[method]
    site.storage.poke("event", job_id=job.id)
    eventually(lambda: site.cluster.calls[method] > called, "it was tried")
    site.cluster.broken.clear()
    site.until_released(job, Phase.ERROR)


def test_it_is_not_asked_for_ever(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(attention, "_SOON", 0.001)
    site.supervisor(poll_interval=NEVER)
    job, submission = begun(site)
    site.cluster.says[submission.native_id] = Status(kind=Kind.UNRECOGNISED, native_state="?")
    asked = site.cluster.calls["get_status"]
    site.storage.poke("event", job_id=job.id)
    eventually(
        lambda: site.cluster.calls["get_status"] == asked + 9, "it has been asked nine times"
    )
    threading.Event().wait(1.0)
    assert site.cluster.calls["get_status"] == asked + 9
