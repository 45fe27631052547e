"""Everything at once: every fault, users who change their minds, supervisors that come and go."""

from __future__ import annotations

import random
import threading
import time

import pytest

from core.helpers.site import Site, a_site
from opus_core import supervisor
from opus_core.backends import Cause, Kind, Status
from opus_core.errors import BackendUnavailable, SubmitDeferred, SubmitRejected
from opus_core.job import Job, Work
from opus_core.testing.timing import eventually

SCRIPTS = ["exit 0", "sleep 0.2", "sleep 1", "exit 3", "sleep 60", "echo 1 > plot"]


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "_PENALTY", 0.2)
    with a_site(tmp_path) as site:
        yield site


@pytest.mark.crash
@pytest.mark.parametrize("seed", [1, 2])
def test_every_job_comes_to_its_end_and_no_script_runs_twice(site: Site, seed: int) -> None:
    chance = random.Random(seed)
    lock = threading.Lock()

    def draw() -> float:
        with lock:
            return chance.random()

    def fault(task, submit):
        luck = draw()
        if luck < 0.1:
            raise SubmitDeferred("the queue is full")
        if luck < 0.15:
            raise SubmitRejected("no such partition")
        if luck < 0.25:
            raise BackendUnavailable("not submitted")
        if luck < 0.35:
            submit()
            raise BackendUnavailable("submitted, but the answer is lost")
        if luck < 0.4:
            raise RuntimeError("a mistake of the plugin")
        return submit()

    site.cluster.fault = fault
    supervisors = [site.supervisor(), site.supervisor()]
    jobs: list[Job] = []
    end = time.monotonic() + 3
    while time.monotonic() < end:
        luck = draw()
        job = chance.choice(jobs) if jobs else None
        if job is None or (luck < 0.3 and len(jobs) < 40):
            jobs.append(site.job(chance.choice(SCRIPTS), run=True))
        elif luck < 0.4 and job.id in site.storage.universe.rows:
            site.abort(job)
        elif luck < 0.5 and job.id in site.storage.universe.rows:
            site.delete(job)
        elif luck < 0.6:
            site.cluster.lag = chance.choice([0.0, 0.3])
        elif luck < 0.7:
            method = chance.choice(["find", "get_status", "abort", "peek", "delete"])
            site.cluster.broken[method] = BackendUnavailable("busy")
        elif luck < 0.85:
            site.cluster.broken.clear()
        elif luck < 0.9:
            status = chance.choice(
                [
                    Status(kind=Kind.GONE),
                    Status(kind=Kind.UNRECOGNISED, native_state="?"),
                    Status(kind=Kind.QUEUED),
                    Status(kind=Kind.ENDED, cause=Cause.OK),
                ]
            )
            for native_id in site.native_ids(job):
                site.cluster.says[native_id] = status
        elif luck < 0.95:
            site.cluster.says.clear()
        else:
            supervisors.pop(0).stop()
            supervisors.append(site.supervisor())
        time.sleep(0.02)
    # The weather clears up, and whoever still runs is stopped.
    site.cluster.fault = None
    site.cluster.broken.clear()
    site.cluster.says.clear()
    site.cluster.lag = 0.0
    for job in jobs:
        if job.id in site.storage.universe.rows:
            site.abort(job)
    rows = site.storage.universe.rows

    def settled() -> bool:
        site.storage.pass_time(5)
        left = [rows[job.id].job for job in jobs if job.id in rows]
        return all(one.work in (Work.NONE, Work.RELEASED) and not one.doomed for one in left)

    eventually(settled, "all is done")
    for job in jobs:
        if job.id in rows:
            assert rows[job.id].job.phase.over
    eventually(
        lambda: all(
            one.process is None or one.process.poll() is not None
            for one in site.cluster.submissions.values()
        ),
        "nothing runs any more",
    )
