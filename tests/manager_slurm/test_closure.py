from __future__ import annotations

from closure import TOOLS, closure, installed


def test_what_is_installed_is_what_is_declared():
    assert installed() == closure("opus-manager-slurm", "opus-core[testing]", *TOOLS)
