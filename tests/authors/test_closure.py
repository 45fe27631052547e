from __future__ import annotations

from closure import OURS, TOOLS, closure, installed

FOR_BUILDING = ("hatchling", "ruff", "mypy")


def test_what_is_installed_is_what_is_declared():
    assert installed() == closure(*OURS, *TOOLS, *FOR_BUILDING)
