"""A controller that hangs while jobs are submitted: sbatch gives up, and the job is there all the
same."""

from __future__ import annotations

import time

import pytest

from servers import eventually, runs
from services.slurm_fixture import slurm_cluster
from slurm_ordeal import FAR, NEAR, Stand

pytestmark = pytest.mark.takes(80)

MESSAGE_TIMEOUT = 3  # [s]
VISIBLE_AFTER = 6  # [s], a little more


@pytest.fixture(scope="module")
def hanging():
    """Two servers on a cluster whose commands soon give up on a controller that hangs."""
    with slurm_cluster(ssh=True, message_timeout=MESSAGE_TIMEOUT) as cluster:
        stands = {way: Stand(cluster, way, visible_after=str(VISIBLE_AFTER)) for way in (NEAR, FAR)}
        try:
            for stand in stands.values():
                stand.site.serve()
            yield stands
        finally:
            for stand in stands.values():
                stand.site.stop()


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "seconds",
    [MESSAGE_TIMEOUT + 1, 2 * VISIBLE_AFTER + 1],
    ids=["sbatch-gave-up", "asked-for-again"],
)
@pytest.mark.parametrize("way", [NEAR, FAR])
def test_a_job_whose_sbatch_hung_with_the_controller_runs_once_when_that_thaws(
    hanging, way, seconds
):
    stand = hanging[way]
    cluster = stand.cluster
    names = [f"{way}-{seconds}-{number}" for number in range(6)]
    cluster.pause("ctld")
    begin = time.monotonic()
    try:
        jobs = [
            stand.site.create("ledger", {"ledger": str(stand.ledgers / name)}) for name in names
        ]
        time.sleep(max(0.0, begin + seconds - time.monotonic()))
        assert {stand.site.phase(job) for job in jobs} == {"QUEUED"}
        assert not any(runs(stand.ledgers / name) for name in names)
    finally:
        cluster.cont("ctld")
    for job in jobs:
        assert stand.site.wait(job, seconds=90) == "COMPLETED", stand.site.document(job)
    # What was sent a second time, if anything was, has come as well by then, and left.
    time.sleep(VISIBLE_AFTER)
    query = ("squeue", "-h", "-t", "PENDING,RUNNING,COMPLETING", "-o", "%j")
    eventually(lambda: not cluster.run(*query).stdout, 60, 0.1)
    assert [runs(stand.ledgers / name) for name in names] == [1] * len(names)
