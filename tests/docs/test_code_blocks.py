"""Every code block that we print can be used: it names its language, and is valid in it."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PATTERNS = ("*.md", "*/README.md", "plugins/*/README.md", "docs/**/*.md", "examples/**/*.md")
PAGES = sorted({page for pattern in PATTERNS for page in CHECKOUT.glob(pattern)})


def is_shell(text: str) -> None:
    found = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
    assert found.returncode == 0, found.stderr


def is_python(text: str) -> None:
    compile(text, "the block", "exec")


CHECKS = {
    "bash": is_shell,
    "json": json.loads,
    "python": is_python,
    "sh": is_shell,
    "text": str,  # pictures, output: nothing to check
    "toml": tomllib.loads,
    "xml": ElementTree.fromstring,
}


def blocks(page: Path) -> Iterator[tuple[int, str, str]]:
    """The line number, language and text of each fenced block."""
    start, language, lines = 0, "", []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if not line.lstrip().startswith("```"):
            lines.append(line)
        elif start:
            yield start, language, "\n".join(lines) + "\n"
            start = 0
        else:
            start, language, lines = number, line.strip().strip("`"), []
    assert not start, f"{page.name}: the block of line {start} does not end"


BLOCKS = [
    pytest.param(language, text, id=f"{page.relative_to(CHECKOUT)}:{number}")
    for page in PAGES
    for number, language, text in blocks(page)
]


@pytest.mark.parametrize(("language", "text"), BLOCKS)
def test_a_code_block_is_valid(language, text):
    assert language in CHECKS, f"one of {', '.join(CHECKS)} after the three backticks"
    CHECKS[language](text)
