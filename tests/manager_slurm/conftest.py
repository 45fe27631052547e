"""One real SLURM cluster for all tests of this folder that ask for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.slurm import Cluster
from services.slurm_fixture import slurm_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """With accounting and a login node; what a test does to it is undone behind that test."""
    with slurm_cluster(ssh=True) as one:
        yield one


@pytest.fixture(autouse=True)
def _restored(request) -> Iterator[None]:
    yield
    # A module may say that it clears up itself, which is quicker.
    if "cluster" in request.fixturenames and not getattr(request.module, "CLEARS_UP", False):
        request.getfixturevalue("cluster").restore()
