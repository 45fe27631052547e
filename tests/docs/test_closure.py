from __future__ import annotations

from closure import EVERY, TOOLS, closure, installed


def test_what_is_installed_is_what_is_declared():
    assert installed() == closure(*EVERY, *TOOLS)
