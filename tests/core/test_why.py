"""One sentence for whoever wonders about a job."""

from __future__ import annotations

from datetime import timedelta

import pytest

from opus_core import job as jobs
from opus_core.backends import Health, HealthState
from opus_core.job import ErrorSummary, Mark, Phase, Work
from opus_core.testing.samples import LONG_AGO, a_job, a_running_job
from opus_core.why import NO_SUPERVISOR, is_silent, why


def health(state: HealthState = HealthState.OK, sentence: str = "", age: float = 0.0) -> Health:
    now = jobs.now() - timedelta(seconds=age)
    return Health(state=state, sentence=sentence, since=now, heartbeat=now)


# State, sentence and age of each component: a heartbeat is of when a test runs.
UP = {"supervisor": ()}
DOWN = HealthState.DOWN
QUEUED = {"phase": Phase.QUEUED, "manager": "queue"}


def live(**changes):
    values = {"manager": "queue", "native_ids": ("7",), "started": LONG_AGO}
    return a_running_job(**(values | changes))


CASES = {
    "nobody has asked": (a_job(), UP, "nobody has asked for it to run yet"),
    "about to be submitted": (
        a_job(**QUEUED, work=Work.WANTED),
        UP,
        "it is about to be submitted",
    ),
    "it says why": (
        a_job(**QUEUED, work=Work.WANTED, job_info={"waiting": "the queue is full"}),
        UP,
        "it is about to be submitted; the queue is full",
    ),
    "nobody supervises": (
        a_job(**QUEUED, work=Work.WANTED, job_info={"waiting": "the queue is full"}),
        {},
        f"it is about to be submitted; {NO_SUPERVISOR}",
    ),
    "the supervisor is silent": (
        a_job(**QUEUED, work=Work.WANTED),
        {"supervisor": (HealthState.OK, "", 60)},
        f"it is about to be submitted; {NO_SUPERVISOR}",
    ),
    "the supervisor says what is wrong": (
        a_job(**QUEUED, work=Work.WANTED),
        {"supervisor": (DOWN, "this is a copy")},
        "it is about to be submitted; the supervisor: this is a copy",
    ),
    "the outcome is not known": (
        a_job(**QUEUED, work=Work.STARTING),
        {**UP, "manager": (DOWN, "the cluster does not answer")},
        "it is being submitted; the cluster does not answer",
    ),
    "in the queue": (
        live(phase=Phase.QUEUED, job_info={"waiting": "Priority"}),
        UP,
        "it waits for its turn as 7 of the queue manager; Priority",
    ),
    "of another manager": (
        live(manager="gone", phase=Phase.QUEUED),
        UP,
        "it waits for its turn as 7 of the gone manager; the gone manager, which has it, is not"
        " configured; configure it until its jobs are over",
    ),
    "held": (
        live(phase=Phase.HELD, job_info={"waiting": "JobHeldUser"}),
        UP,
        "the queue manager holds it, until somebody releases it; JobHeldUser",
    ),
    "suspended": (
        live(phase=Phase.SUSPENDED),
        UP,
        "the queue manager has suspended it, and goes on with it by itself",
    ),
    "running": (
        live(job_info={"waiting": "of before"}),
        UP,
        "it has been running since 2020-05-17 12:30:00 UTC",
    ),
    "to be aborted": (
        live(marks=frozenset({Mark.ABORT_REQUESTED})),
        {**UP, "manager": (DOWN, "the cluster does not answer")},
        "it is being aborted; the cluster does not answer",
    ),
    "fetched": (
        live(work=Work.ENDED, job_info={"fetching": "fetching results: the disk is full"}),
        UP,
        "its script has ended, and its results are being fetched; fetching results: the disk is"
        " full",
    ),
    "deleted": (
        live(marks=frozenset({Mark.DOOMED})),
        UP,
        "it has been deleted, and is being removed",
    ),
    "failed": (
        a_job(
            phase=Phase.ERROR,
            work=Work.RELEASED,
            ended=LONG_AGO,
            error=ErrorSummary(message="exit code 3"),
        ),
        {},
        "it ended at 2020-05-17 12:30:00 UTC: exit code 3",
    ),
    "over, and not forgotten yet": (
        live(phase=Phase.ABORTED, work=Work.LIVE, ended=LONG_AGO),
        {**UP, "manager": (HealthState.DEGRADED, "the cluster is slow")},
        "it ended at 2020-05-17 12:30:00 UTC; what is left of it is being removed; the cluster is"
        " slow",
    ),
}


@pytest.mark.parametrize(("job", "components", "sentence"), CASES.values(), ids=CASES)
def test_a_job_is_explained_by_itself_the_supervisor_and_the_cluster(job, components, sentence):
    found = {name: health(*values) for name, values in components.items()}
    assert why(job, found, manager="queue") == sentence


def test_a_supervisor_is_silent_after_half_a_minute():
    assert is_silent(None)
    assert is_silent(health(age=31))
    assert not is_silent(health(age=20))
