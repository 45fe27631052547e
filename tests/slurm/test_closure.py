from __future__ import annotations

from closure import TOOLS, closure, installed

OPUS = ("opus-core[testing]", "opus-storage-sqlite", "opus-manager-slurm", "opus-jdl-wadl")


def test_what_is_installed_is_what_is_declared():
    assert installed() == closure(*OPUS, "pyvo", *TOOLS)
