"""The private SLURM cluster for pytest: skips where it cannot be, except in CI."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from services.slurm import Cluster, missing, private_cluster


def require(what: Sequence[str]) -> None:
    """Skip if something is missing, saying what; with CI=true that is a failure."""
    if not what:
        return
    sentence = f"not on this machine: {', '.join(what)} (as root, tests/services/install helps)"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


@contextmanager
def slurm_cluster(**options: Any) -> Iterator[Cluster]:
    """A cluster with these options of Cluster, or a skip."""
    require(missing())
    with private_cluster(**options) as cluster:
        yield cluster
