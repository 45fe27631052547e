from __future__ import annotations

from closure import TOOLS, closure, installed

OPUS = (
    "opus-core",
    "opus-storage-sqlite",
    "opus-storage-postgresql",
    "opus-manager-slurm",
    "opus-manager-local",
    "opus-jdl-wadl",
    "opus-jdl-votable",
    "opus-metrics",
    "opus-notify",
)


def test_what_is_installed_is_what_is_declared():
    assert installed() == closure(*OPUS, "hatchling", "pyvo", *TOOLS)
