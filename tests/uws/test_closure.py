from __future__ import annotations

from closure import OURS, TOOLS, closure, installed

CLIENTS = ("pyvo", "vo-models")


def test_what_is_installed_is_what_is_declared():
    assert installed() == closure(*OURS, *CLIENTS, *TOOLS)
