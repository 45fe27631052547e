"""ABORT, DELETE and destruction, at every state of work."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.helpers.cluster import SmallManager
from core.helpers.site import Site, a_site
from opus_core import lifecycle, supervisor
from opus_core.errors import BackendUnavailable
from opus_core.job import Job, Phase, Work, now
from opus_core.testing.timing import eventually

BUSY = "sleep 60 & trap 'kill $!' EXIT; wait"


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "_REAP_INTERVAL", 0.2)
    with a_site(tmp_path) as site:
        yield site


# -- every state of work, each with how a job gets there


def none(site: Site) -> Job:
    site.supervisor()
    return site.job(BUSY, run=False)


def wanted(site: Site) -> Job:
    """Nobody supervises yet."""
    return site.job(BUSY)


def calling(site: Site) -> Job:
    """`start` hangs, and submits in the end."""
    site.cluster.open.clear()
    site.supervisor()
    job = site.job(BUSY)
    assert site.cluster.hanging.acquire(timeout=20)
    return job


def refusing(site: Site) -> Job:
    """`start` hangs, and does not submit in the end."""

    def fault(task, submit):
        raise BackendUnavailable("the connection was closed")

    site.cluster.fault = fault
    return calling(site)


def in_doubt(site: Site) -> Job:
    """`start` has failed, and nobody can tell whether the scheduler has it; which it has."""

    def fault(task, submit):
        submit()
        raise BackendUnavailable("the connection was closed")

    site.cluster.fault = fault
    site.cluster.runs_at_once = False
    site.cluster.broken["find"] = BackendUnavailable("down for maintenance")
    site.supervisor()
    job = site.job(BUSY)
    eventually(lambda: site.cluster.sought[site.tag(job.id)], "it was looked for")
    return job


def queued(site: Site) -> Job:
    site.cluster.runs_at_once = False
    site.supervisor()
    job = site.job(BUSY)
    site.until_work(job, Work.LIVE)
    return job


def running(site: Site) -> Job:
    site.supervisor()
    job = site.job(BUSY)
    site.until_phase(job, Phase.EXECUTING)
    site.until_runs()
    return job


def ended(site: Site) -> Job:
    """Its script ended well, and its results are on the way."""
    site.cluster.delivers.clear()
    site.supervisor()
    job = site.job("echo 1 > plot", outputs=["plot"])
    site.until_work(job, Work.ENDED)
    assert site.cluster.hanging.acquire(timeout=20)
    return job


def released(site: Site) -> Job:
    site.supervisor()
    job = site.job("echo 1 > plot", outputs=["plot"])
    site.until_work(job, Work.RELEASED)
    return job


STATES = [none, wanted, calling, refusing, in_doubt, queued, running, ended, released]


def go_on(site: Site) -> None:
    """Whatever hung goes on, and somebody supervises."""
    site.cluster.open.set()
    site.cluster.delivers.set()
    site.cluster.broken.clear()
    if not site._supervisors:
        site.supervisor()
    site.storage.pass_time(5)  # the longest first pause


def nothing_runs(site: Site) -> bool:
    return all(
        one.process is None or one.process.poll() is not None
        for one in site.cluster.submissions.values()
    )


@pytest.mark.parametrize("state", STATES)
def test_abort_ends_a_job_in_every_state(site: Site, state) -> None:
    job = state(site)
    before = site.read(job)
    site.abort(job)
    go_on(site)
    if state is released:
        assert site.read(job) == before, "what is over is over"
        return
    over = site.until(
        job, lambda one: one.phase.over and one.work in (Work.NONE, Work.RELEASED), "all is done"
    )
    assert over.phase is Phase.ABORTED
    assert over.error is None, "nobody but the user wanted it"
    assert over.ended is not None
    eventually(lambda: nothing_runs(site), "nothing runs any more")
    if state is ended:
        assert [one.id for one in over.results] == ["plot"], "what has come is kept"
    if state in (none, wanted):
        assert over.work is Work.NONE
        assert not site.cluster.calls["start"]
    if state in (refusing, in_doubt, queued):
        site.cluster.begin(site.tag(job.id))
        assert site.runs() == 0


@pytest.mark.parametrize("state", STATES)
def test_delete_removes_a_job_in_every_state(site: Site, state) -> None:
    job = state(site)
    site.delete(job)
    go_on(site)
    site.until_removed(job)
    assert not site.folders.path(job.id).exists()
    eventually(lambda: nothing_runs(site), "nothing runs any more")
    if state not in (none, wanted):
        assert site.tag(job.id) in site.cluster.deleted
    site.cluster.begin(site.tag(job.id))  # no folder, no run
    assert site.phases(job)[-1] is None
    if state is not calling:  # there, it may have begun before it was stopped
        assert site.runs() == (state in (running, ended, released))


def test_a_deleted_job_fetches_nothing(site: Site) -> None:
    job = running(site)
    site.delete(job)
    site.until_removed(job)
    assert not site.cluster.calls["get_results"]


def test_a_job_that_ended_by_itself_before_the_abort_keeps_its_end(site: Site) -> None:
    site.supervisor(poll_interval=3600.0)
    job = site.job()
    site.until_work(job, Work.LIVE)
    eventually(lambda: site.folders.links(job.id).exit, "the script has ended")
    site.abort(job)
    site.until_released(job, Phase.COMPLETED)


def test_abort_is_repeated_until_it_is_seen_to_be_over(site: Site) -> None:
    job = running(site)
    site.cluster.broken["abort"] = BackendUnavailable("busy")
    site.abort(job)
    eventually(lambda: site.cluster.calls["abort"] == 1, "it was tried")
    assert site.read(job).phase is Phase.EXECUTING
    site.cluster.broken.clear()
    site.storage.pass_time(5)
    site.until_released(job, Phase.ABORTED)


def test_after_a_won_seal_the_scheduler_is_told_twice(site: Site) -> None:
    manager = SmallManager(site.cluster)
    manager.visible_after = 0.3

    def fault(task, submit):
        raise BackendUnavailable("the connection was closed")

    site.cluster.fault = fault
    site.cluster.open.clear()
    site.supervisor(manager=manager)
    job = site.job(BUSY)
    site.cluster.hanging.acquire()
    site.abort(job)
    site.cluster.open.set()
    sealed = site.until_work(job, Work.ENDED)
    assert sealed.watch.sealed is not None
    done = site.until_released(job, Phase.ABORTED)
    assert site.cluster.calls["abort"] == 2
    assert (now() - sealed.watch.sealed).total_seconds() >= 0.3
    assert done.results == ()


# -- destruction


@pytest.mark.parametrize("state", [none, running, released])
def test_at_its_destruction_time_a_job_is_forgotten(site: Site, state) -> None:
    job = state(site)
    other = site.job(run=False, destruction=now() + timedelta(days=1))
    site.ask(job, lambda job, now: lifecycle.set_destruction(job, now, latest=None))
    site.until_removed(job)
    assert not site.folders.path(job.id).exists()
    assert site.read(other) == other


@pytest.mark.parametrize("state", [none, running, released])
def test_with_archive_on_its_record_is_kept_without_results(site: Site, state) -> None:
    site.settings = site.settings.__class__(policy=site.settings.policy, archive=True)
    job = state(site)
    site.ask(job, lambda job, now: lifecycle.set_destruction(job, now, latest=None))
    archived = site.until_phase(job, Phase.ARCHIVED)
    assert archived.results == ()
    assert archived.destruction is None
    assert archived.work in (Work.NONE, Work.RELEASED)
    assert not (site.folders.path(job.id) / "results").exists()
    assert site.phases(job)[-2:] == [
        Phase.COMPLETED if state is released else Phase.ABORTED,
        Phase.ARCHIVED,
    ]
    site.delete(job)
    site.until_removed(job)


def test_a_destruction_time_that_was_put_off_in_time_counts(site: Site, monkeypatch) -> None:
    site.supervisor()
    job = site.job(run=False, destruction=now())
    later = now() + timedelta(days=1)
    reaper = site._supervisors[0]._reaper
    expired = reaper._desk.storage.expired

    def overtaken(limit):
        found = expired(limit)
        if found:  # the owner is faster by a hair
            site.ask(job, lambda job, now: lifecycle.set_destruction(job, later, latest=None))
        return found

    monkeypatch.setattr(reaper._desk.storage, "expired", overtaken)
    reaper.destroy_expired()
    assert not site.read(job).doomed


def expire(site: Site, job: Job) -> None:
    site.ask(job, lambda job, now: lifecycle.set_destruction(job, now, latest=None))


def put_off(site: Site, job: Job) -> None:
    later = now() + timedelta(days=1)
    site.ask(job, lambda job, now: lifecycle.set_destruction(job, later, latest=None))


def archiving(site: Site, *, archive: bool = True) -> Job:
    """A job with results, and a site that archives; nobody destroys by itself."""
    site.settings = site.settings.__class__(policy=site.settings.policy, archive=archive)
    supervisor._REAP_INTERVAL = 3600.0  # the fixture puts it back
    return released(site)


@pytest.mark.parametrize("when", ["before", "after", "after a crash"])
def test_a_record_never_names_results_that_are_not_there(site: Site, monkeypatch, when) -> None:
    job = archiving(site)
    reaper = site._supervisors[0]._reaper
    folders = reaper._desk.folders
    remove = folders.remove_results

    def overtaken(job_id: str) -> None:
        if when == "before":
            put_off(site, job)
        remove(job_id)
        if when == "after":
            put_off(site, job)
        if when == "after a crash":
            raise OSError("killed")

    monkeypatch.setattr(folders, "remove_results", overtaken)
    expire(site, job)
    reaper.destroy_expired()
    if when == "after a crash":
        put_off(site, job)
    found = site.read(job)
    assert found.results == ()
    assert not (site.folders.path(job.id) / "results").exists()
    assert found.phase is (Phase.COMPLETED if when == "after a crash" else Phase.ARCHIVED)


def test_archiving_is_repeated_after_a_crash(site: Site, monkeypatch) -> None:
    job = archiving(site)
    reaper = site._supervisors[0]._reaper

    def refuse(job_id: str) -> None:
        raise OSError("killed")

    expire(site, job)
    with monkeypatch.context() as patched:
        patched.setattr(reaper._desk.folders, "remove_results", refuse)
        reaper.destroy_expired()
    assert site.read(job).phase is Phase.COMPLETED
    reaper.destroy_expired()
    assert site.read(job).phase is Phase.ARCHIVED
    assert not (site.folders.path(job.id) / "results").exists()


@pytest.mark.parametrize("archive", [True, False])
def test_results_of_a_job_whose_destruction_was_put_off_in_time_stay(
    site: Site, monkeypatch, archive
) -> None:
    job = archiving(site, archive=archive)
    reaper = site._supervisors[0]._reaper
    change = type(reaper._desk).change

    def overtaken(desk, job, rule, *, due):
        put_off(site, job)
        return change(desk, job, rule, due=due)

    monkeypatch.setattr(type(reaper._desk), "change", overtaken)
    expire(site, job)
    reaper.destroy_expired()
    found = site.read(job)
    assert (found.phase, [one.id for one in found.results]) == (Phase.COMPLETED, ["plot"])
    assert (site.folders.path(job.id) / "results" / "plot").exists()


def test_a_job_that_is_deleted_while_it_is_archived_is_not_archived(
    site: Site, monkeypatch
) -> None:
    job = archiving(site)
    reaper = site._supervisors[0]._reaper
    folders = reaper._desk.folders
    remove = folders.remove_results
    monkeypatch.setattr(
        folders, "remove_results", lambda job_id: (site.delete(job), remove(job_id))
    )
    expire(site, job)
    reaper.destroy_expired()
    site.until_removed(job)
    assert site.phases(job)[-2:] == [Phase.COMPLETED, None]


def test_a_cluster_that_is_down_holds_up_its_own_jobs_and_no_others(
    site: Site, monkeypatch
) -> None:
    monkeypatch.setattr("opus_core.supervisor.reap._AT_ONCE", 1)
    site.settings = site.settings.__class__(policy=site.settings.policy, archive=True)
    stuck = running(site)
    site.cluster.down = True
    long_ago = now() - timedelta(days=2)
    site.ask(stuck, lambda job, now: lifecycle.set_destruction(job, long_ago, latest=None))
    site.until(stuck, lambda one: one.abort_requested, "it is to be aborted")
    others = [site.job(run=False, destruction=now() - timedelta(days=1)) for _ in range(2)]
    site._supervisors[0]._reaper.destroy_expired()
    for job in others:
        site.until_phase(job, Phase.ARCHIVED)
    assert site.read(stuck).phase is Phase.EXECUTING


def test_a_storage_that_is_away_puts_a_destruction_off_and_is_a_sentence(
    site: Site, monkeypatch, caplog
) -> None:
    job = archiving(site, archive=False)
    reaper = site._supervisors[0]._reaper

    def away(*ignored, **also):
        raise BackendUnavailable("the database cannot be reached")

    expire(site, job)
    with monkeypatch.context() as patched:
        patched.setattr(type(reaper._desk), "change", away)
        reaper.destroy_expired()
    assert "has to wait: the database cannot be reached" in caplog.text
    assert "Traceback" not in caplog.text
    reaper.destroy_expired()
    site.until_removed(job)
