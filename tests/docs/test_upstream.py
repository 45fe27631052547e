"""Every fault that was found in the original has a test here, or a reason why not."""

from __future__ import annotations

import ast
import re

from docs.blocks import CHECKOUT, DOCS

NUMBERS = (
    [f"A4.{number}" for number in range(1, 12)]
    + [f"S{number}" for number in range(1, 20)]
    + [f"R{number}" for number in range(1, 13)]
)
REASON = "no test: "


def told() -> dict[str, str]:
    """What the page says of each number: how it is here."""
    rows = re.findall(
        r"^\| ([ASR][\d.]+) \| (.+?) \| (.+?) \|$", (DOCS / "upstream.md").read_text(), re.MULTILINE
    )
    assert len(rows) == len({number for number, _, _ in rows}), "a number has two lines"
    return {number: here for number, _, here in rows}


def carried() -> set[str]:
    """The numbers that tests carry."""
    numbers = set()
    for path in (CHECKOUT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                numbers |= {
                    argument.value
                    for mark in node.decorator_list
                    if isinstance(mark, ast.Call)
                    and ast.unparse(mark.func) == "pytest.mark.upstream"
                    for argument in mark.args
                }
    return numbers


def test_every_fault_has_its_line_and_no_other():
    assert list(told()) == NUMBERS


def test_every_fault_has_a_test_or_a_reason_why_not():
    without = {number for number, here in told().items() if here.startswith(REASON)}
    assert set(NUMBERS) - carried() == without


def test_no_test_carries_a_number_that_is_none():
    assert carried() <= set(NUMBERS)
