"""Compare what is installed in a tox environment with what is declared.

A distribution that forgets a requirement works wherever a neighbour happens to bring it. In each
environment of tox exactly one of ours is installed, so it shows here.
"""

from __future__ import annotations

from importlib.metadata import distribution, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# What every environment of tox has to run tests with.
TOOLS = ("pytest", "pytest-rerunfailures", "pytest-timeout", "pytest-xdist")
# What most environments have of ours, with what tests need.
OURS = (
    "opus-core[testing]",
    "opus-storage-sqlite",
    "opus-manager-slurm",
    "opus-manager-local",
    "opus-jdl-wadl",
)
# Every distribution of ours.
EVERY = (
    *OURS,
    "opus-storage-postgresql",
    "opus-jdl-votable",
    "opus-metrics",
    "opus-notify",
)
# What makers of environments put into them on their own account.
SEEDS = {"pip", "setuptools", "wheel"}


def installed() -> set[str]:
    """The names of all distributions in this environment."""
    return {canonicalize_name(found.name) for found in distributions()} - SEEDS


def closure(*declared: str) -> set[str]:
    """The names of `declared` and of all that they require, extras followed.

    Raises if one is missing here, or is there in a version that a requirement does not allow.
    """
    todo = [Requirement(line) for line in declared]
    done: set[tuple[str, str]] = set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        found = distribution(name)
        if not requirement.specifier.contains(found.version, prereleases=True):
            raise AssertionError(f"{name} {found.version} is installed, not {requirement}")
        for extra in {"", *requirement.extras} - {e for n, e in done if n == name}:
            done.add((name, extra))
            todo += [
                need
                for need in map(Requirement, found.requires or ())
                if need.marker is None or need.marker.evaluate({"extra": extra})
            ]
    return {name for name, _ in done}
