"""One real SLURM cluster with a server on each way to it, for all tests that do not need others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.postgresql import Server, private_server
from services.slurm import Cluster
from services.slurm_fixture import slurm_cluster
from slurm.sites import FAR, NEAR, Stage, reachable, stage


def pytest_configure(config: pytest.Config) -> None:
    # pyvo leaves its connections to the garbage collector, in whatever test that comes by.
    config.addinivalue_line("filterwarnings", "ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """With accounting and a login node. Jobs outlast a test, so that tests can share the time
    they wait; who harms a daemon repairs it."""
    # A controller that was paused must not give its nodes up, however slow the machine is.
    with slurm_cluster(ssh=True, message_timeout=5, node_timeout=60) as one:
        yield one


@pytest.fixture(scope="module")
def database() -> Iterator[Server]:
    """A PostgreSQL of a file's own."""
    with private_server() as one:
        yield one


@pytest.fixture(scope="session")
def near(cluster: Cluster) -> Iterator[Stage]:
    """A server that runs the commands itself, as root, on folders that the nodes see."""
    with stage(cluster, NEAR) as one:
        yield one


@pytest.fixture(scope="session")
def far(cluster: Cluster) -> Iterator[Stage]:
    """A server that signs in to a login node, to an account without rights."""
    with stage(cluster, FAR) as one:
        yield one


@pytest.fixture(params=[NEAR, FAR])
def each(request: pytest.FixtureRequest) -> Stage:
    """Both of them, one after the other."""
    found: Stage = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=[FAR, pytest.param(NEAR, marks=pytest.mark.slow)])
def either(request: pytest.FixtureRequest) -> Stage:
    """The same for tests that wait for long; make soak runs them on the near one, too."""
    found: Stage = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def ledger(cluster: Cluster, request: pytest.FixtureRequest) -> Path:
    """A file that says how often a script has run; jobs of every account may write there."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return reachable(cluster.folder / "ledgers") / name
