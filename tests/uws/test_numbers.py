"""Every number of docs/uws.md has a test that is marked with it, or says why it has none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "uws.md"
REASON = "No test: "

# How many lines each section has; 12 tells what an older version lacks.
LINES = {1: 20, 2: 6, 3: 13, 4: 11, 5: 13, 6: 10, 7: 5, 8: 7, 9: 8, 10: 9, 11: 8, 13: 4, 14: 12}


def listed() -> dict[str, str]:
    """What the page says is done here, by number."""
    rows = re.findall(r"^\| (\d+\.\d+) \| (.+?) \| ?(.*?) ?\|$", PAGE.read_text(), re.MULTILINE)
    found = {number: here for number, _, here in rows}
    assert len(found) == len(rows), "a number stands twice"
    return found


def marked() -> Iterator[tuple[str, str]]:
    """The numbers that tests are marked with, each with its file."""
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.uws":
                for argument in node.args:
                    assert isinstance(argument, ast.Constant), ast.unparse(node)
                    yield argument.value, path.name


def test_the_list_is_whole():
    wanted = {f"{section}.{line}" for section, n in LINES.items() for line in range(1, n + 1)}
    assert set(listed()) == wanted


def test_every_number_has_a_test_or_a_reason():
    tested = {number for number, _ in marked()}
    excused = {number for number, here in listed().items() if here.startswith(REASON)}
    assert set(listed()) - tested - excused == set()
    assert tested & excused == set(), "a number that is tested needs no excuse"
    assert all(len(listed()[number]) > len(REASON) + 20 for number in excused)


def test_no_test_is_marked_with_a_number_that_is_not_in_the_list():
    assert [(number, file) for number, file in marked() if number not in listed()] == []
