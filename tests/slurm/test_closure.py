from __future__ import annotations

from closure import OURS, TOOLS, closure, installed


def test_what_is_installed_is_what_is_declared():
    assert installed() == closure(
        *OURS, "opus-storage-postgresql", "opus-jdl-votable", "pyvo", *TOOLS
    )
