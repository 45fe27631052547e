from __future__ import annotations

from closure import OURS, TOOLS, closure, installed

BROWSER = ("playwright", "axe-playwright-python", "requests", "pyvo")


def test_what_is_installed_is_what_is_declared():
    assert installed() == closure(*OURS, *BROWSER, *TOOLS)
