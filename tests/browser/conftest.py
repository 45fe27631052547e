"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import sync_playwright

from browser.tab import Tab, opened
from services_missing import lacking

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="session")
def chromium():
    """A browser that runs."""
    # The same engine without windows, and with a sixth less work.
    program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if program is None:
        lacking("there is no Chromium; Debian's chromium-headless-shell has it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A tab of its own, with cookies of its own; what goes wrong in it is an error of the test."""
    context = chromium.new_context()
    opened = context.new_page()
    faults = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    context.close()
    assert faults == []


@pytest.fixture
def tab(chromium) -> Tab:
    """A tab that looks at pages of ours; what a browser complains of is an error of the test."""
    with opened(chromium) as one:
        yield one
