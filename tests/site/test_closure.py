from __future__ import annotations

from pathlib import Path

from closure import TOOLS, closure, installed

LISTED = Path(__file__).resolve().parents[2] / "docs" / "requirements.txt"


def test_what_is_installed_is_what_is_declared():
    lines = [line for line in LISTED.read_text().splitlines() if not line.startswith("#")]
    assert installed() == closure(*lines, *TOOLS)
