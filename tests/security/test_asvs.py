"""Each requirement of the chapters that concern a job server has a test or a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "asvs.md"

# Of each section of ASVS 5.0, how many requirements it has.
SECTIONS = {
    "4.1": 5,
    "4.2": 5,
    "4.3": 2,
    "4.4": 4,
    "5.1": 1,
    "5.2": 6,
    "5.3": 3,
    "5.4": 3,
    "7.1": 3,
    "7.2": 4,
    "7.3": 2,
    "7.4": 5,
    "7.5": 3,
    "7.6": 2,
    "8.1": 4,
    "8.2": 4,
    "8.3": 3,
    "8.4": 2,
}
NUMBERS = [f"{one}.{number}" for one, most in SECTIONS.items() for number in range(1, most + 1)]
ROWS = dict(re.findall(r"^\| (\d+\.\d+\.\d+) \|[^|]*\| (.*) \|$", PAGE.read_text(), re.MULTILINE))
THERE = {
    name
    for file in TESTS.rglob("test_*.py")
    for name in re.findall(r"def (test_\w+)", file.read_text())
}


def test_every_requirement_has_a_row_and_no_other():
    assert list(ROWS) == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_a_requirement_is_held_by_tests_that_there_are_or_has_a_reason(number):
    held = ROWS[number]
    named = re.findall(r"`(test_\w+)`", held)
    assert named or held.startswith("none: ")
    assert set(named) <= THERE
