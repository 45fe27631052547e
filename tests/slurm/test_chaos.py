"""Everything is killed at any moment: each job runs once, ends rightly, and nobody else's does."""

from __future__ import annotations

import os
import secrets

import pytest

from services.slurm_fixture import slurm_cluster
from slurm_ordeal import CLUSTER, ordeal

NUMBER = int(os.environ.get("OPUS_SLURM_JOBS", "300"))
SEED = os.environ.get("OPUS_SLURM_SEED", "") or secrets.token_hex(4)

pytestmark = [pytest.mark.takes(400), pytest.mark.crash]


@pytest.mark.timeout(1200 + 3 * NUMBER)
def test_every_job_runs_once_and_ends_rightly_whatever_is_killed():
    with slurm_cluster(**CLUSTER) as cluster:
        verdict = ordeal(cluster, NUMBER, SEED, most=600 + 2 * NUMBER)
    print("\n".join(verdict.notes))
    assert not verdict.faults, f"seed {SEED}:\n" + "\n".join(verdict.faults + verdict.notes)
