"""Two supervisors: one acts, and what the other does after a long sleep harms nobody."""

from __future__ import annotations

import threading
import time

import pytest

from core.helpers.cluster import SmallManager
from core.helpers.site import Site, WatchedStorage, a_site
from opus_core import process
from opus_core.backends import SUPERVISOR
from opus_core.errors import Unavailable
from opus_core.job import Phase, Work
from opus_core.supervisor.tenure import NotActing, Tenure
from opus_core.testing.memory import MemoryOptions
from opus_core.testing.timing import eventually

LEASE = 1.0  # [s]


class Sleeper(WatchedStorage):
    """The storage as a process sees it that is stopped: while `asleep`, its lease is not
    renewed."""

    def __init__(self, options: MemoryOptions) -> None:
        super().__init__(options)
        self.asleep = threading.Event()

    def lease(self, name, holder, seconds):
        if self.asleep.is_set():
            raise Unavailable("this process is asleep")
        return super().lease(name, holder, seconds)


@pytest.fixture
def site(tmp_path):
    with a_site(tmp_path) as site:
        yield site


def sleeper(site: Site) -> Sleeper:
    return Sleeper(MemoryOptions(universe=site.universe))


def test_one_of_two_supervisors_acts_and_the_other_takes_over_when_it_stops(site: Site) -> None:
    first = site.supervisor()
    eventually(lambda: first.acting, "the first acts")
    second = site.supervisor()
    job = site.job()
    site.until_released(job, Phase.COMPLETED)
    assert not second.acting
    first.stop()
    eventually(lambda: second.acting, "the second acts, without waiting for the lease to lapse")
    site.until_released(site.job(), Phase.COMPLETED)


def test_jobs_given_to_both_run_once(site: Site) -> None:
    supervisors = [site.supervisor() for _ in range(3)]
    jobs = [site.job() for _ in range(10)]
    for job in jobs:
        site.until_released(job, Phase.COMPLETED)
    assert site.runs() == len(jobs)
    assert sum(one.acting for one in supervisors) == 1


def test_one_that_wakes_up_within_start_harms_nobody(site: Site) -> None:
    """It sleeps beyond its lease just before it submits; the other one finds nothing submitted
    and submits, too."""
    storage = sleeper(site)
    sleepy = SmallManager(site.cluster)
    gate = threading.Event()
    reached = threading.Event()
    submit = sleepy.start

    def start(task):
        reached.set()
        assert gate.wait(60)
        return submit(task)

    sleepy.start = start
    first = site.supervisor(manager=sleepy, storage=storage, lease_seconds=LEASE)
    job = site.job("sleep 0.5; echo 1 > plot", outputs=["plot"])
    assert reached.wait(20)
    storage.asleep.set()
    second = site.supervisor(lease_seconds=LEASE)
    eventually(lambda: second.acting, "the lease has lapsed")
    site.until_runs(1)
    gate.set()
    eventually(lambda: len(site.native_ids(job)) == 2, "both have submitted it")
    storage.asleep.clear()
    done = site.until_released(job, Phase.COMPLETED)
    assert site.runs() == 1
    assert len(done.native_ids) == 1
    assert not first.acting


def test_one_that_wakes_up_within_start_cannot_revive_an_aborted_job(site: Site) -> None:
    storage = sleeper(site)
    sleepy = SmallManager(site.cluster)
    gate = threading.Event()
    reached = threading.Event()
    submit = sleepy.start

    def start(task):
        reached.set()
        assert gate.wait(60)
        return submit(task)

    sleepy.start = start
    site.supervisor(manager=sleepy, storage=storage, lease_seconds=LEASE)
    job = site.job()
    assert reached.wait(20)
    storage.asleep.set()
    site.abort(job)
    second = site.supervisor(lease_seconds=LEASE)
    eventually(lambda: second.acting, "the lease has lapsed")
    site.until_released(job, Phase.ABORTED)
    gate.set()
    (native_id,) = eventually(lambda: site.native_ids(job), "the sleeper has submitted it")
    wrapper = eventually(lambda: site.cluster.submissions[native_id].process, "it runs")
    wrapper.wait(20)
    assert site.runs() == 0


@pytest.mark.parametrize("runs_at_once", [True, False])
def test_one_that_wakes_up_within_start_takes_back_a_job_that_was_removed(
    site: Site, runs_at_once
) -> None:
    site.cluster.runs_at_once = runs_at_once
    storage = sleeper(site)
    sleepy = SmallManager(site.cluster)
    gate, reached, over = threading.Event(), threading.Event(), threading.Event()
    submit, forget = sleepy.start, sleepy.delete

    def start(task):
        reached.set()
        assert gate.wait(60)
        return submit(task)

    def delete(task):
        forget(task)
        over.set()

    sleepy.start, sleepy.delete = start, delete
    site.supervisor(manager=sleepy, storage=storage, lease_seconds=LEASE)
    job = site.job("sleep 60")
    assert reached.wait(20)
    tag = site.tag(job.id)
    storage.asleep.set()
    site.delete(job)
    second = site.supervisor(lease_seconds=LEASE)
    eventually(lambda: second.acting, "the lease has lapsed")
    site.until_removed(job)
    gate.set()
    assert over.wait(20)
    (one,) = site.cluster.under(tag)
    assert one.cancelled
    assert one.process is None or one.process.wait(20) is not None
    eventually(lambda: not site.folders.path(job.id).exists(), "no folder is left")
    assert site.runs() == 0


@pytest.mark.parametrize("believes", [True, False], ids=["believes to act", "knows"])
def test_one_that_wakes_up_within_writing_leaves_no_folder(
    site: Site, monkeypatch, believes
) -> None:
    storage = sleeper(site)
    first = site.supervisor(storage=storage, lease_seconds=LEASE)
    folders = first._desk.folders
    gate, reached, over = threading.Event(), threading.Event(), threading.Event()
    write, attend = folders.write, first._submitter.attend

    def slowly(job, definition, **more):
        reached.set()
        assert gate.wait(60)
        write(job, definition, **more)
        assert folders.path(job.id).exists()
        if believes:
            first._tenure._deadline = time.monotonic() + 60

    def attended(job):
        try:
            attend(job)
        finally:
            over.set()

    monkeypatch.setattr(folders, "write", slowly)
    monkeypatch.setattr(first._submitter, "attend", attended)
    job = site.job()
    assert reached.wait(20)
    storage.asleep.set()
    site.delete(job)
    monkeypatch.setattr(folders, "write", write)
    second = site.supervisor(lease_seconds=LEASE)
    eventually(lambda: second.acting, "the lease has lapsed")
    site.until_removed(job)
    gate.set()
    assert over.wait(20)
    assert not folders.path(job.id).exists()
    assert site.cluster.calls["start"] == 0


def test_one_whose_lease_was_taken_away_stops_at_its_first_save(site: Site) -> None:
    """It believes to act, by its own clock; the epoch tells."""
    site.cluster.runs_at_once = False
    first = site.supervisor(lease_seconds=3600.0)
    job = site.job()
    site.until_work(job, Work.LIVE)
    holder = site.storage.universe.leases[SUPERVISOR].holder
    site.storage.release(SUPERVISOR, holder)
    site.storage.lease(SUPERVISOR, "somebody else", 3600)
    assert first.acting
    before = site.read(job)
    site.cluster.begin(site.tag(job.id))
    eventually(lambda: not first.acting, "its save was refused")
    assert site.read(job) == before
    calls = site.cluster.calls.copy()
    time.sleep(0.5)
    assert site.cluster.calls == calls, "it does not go on"


# -- the lease


def test_must_refuses_without_the_lease(site: Site) -> None:
    tenure = Tenure(site.storage)
    with pytest.raises(NotActing):
        tenure.must()
    site.storage.lease(SUPERVISOR, "another", 60)
    tenure.start()
    try:
        assert not tenure.wait(0.3)
        with pytest.raises(NotActing):
            tenure.must()
        site.storage.release(SUPERVISOR, "another")
        assert tenure.wait(20)
        assert tenure.must() == 2
    finally:
        tenure.stop()


def test_must_refuses_well_before_the_lease_lapses(site: Site) -> None:
    storage = sleeper(site)
    tenure = Tenure(storage, seconds=LEASE)
    tenure.start()
    try:
        assert tenure.wait(20)
        storage.asleep.set()
        eventually(lambda: not tenure.acting, "it is no longer sure")
        lease = site.storage.lease(SUPERVISOR, "another", 60)
        assert lease.holder != "another", "though the storage still has its lease"
    finally:
        tenure.stop()


def test_waiting_for_a_lease_that_cannot_be_renewed_blocks(site: Site) -> None:
    storage = sleeper(site)
    tenure = Tenure(storage, seconds=LEASE)
    tenure.start()
    try:
        assert tenure.wait(20)
        storage.asleep.set()
        eventually(lambda: not tenure.acting, "the lease has lapsed")
        begin = time.monotonic()
        assert not tenure.wait(0.3)
        assert time.monotonic() - begin >= 0.3, "or every loop that waits would spin"
    finally:
        tenure.stop()


def test_a_dead_holder_of_this_host_is_replaced_at_once(site: Site) -> None:
    host, boot, _, started = process.identity().split("/")
    site.storage.lease(SUPERVISOR, f"{host}/{boot}/2147483646/{started}/abc", 3600)
    tenure = Tenure(site.storage)
    tenure.start()
    try:
        assert tenure.wait(20)
    finally:
        tenure.stop()
    assert site.storage.universe.leases[SUPERVISOR].holder == ""
