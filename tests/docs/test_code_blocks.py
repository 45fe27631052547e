"""Every code block that we print can be used: it names its language, and is valid in it."""

from __future__ import annotations

import json
import subprocess
import tomllib
from xml.etree import ElementTree

import pytest

from docs.blocks import CHECKOUT, PAGES, blocks, files


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
    "yaml": str,  # for Prometheus: tests/metrics reads it
}


BLOCKS = [
    pytest.param(block.language, block.text, id=f"{page.relative_to(CHECKOUT)}:{block.line}")
    for page in PAGES
    for block in (*(one for one in blocks(page) if one.file is None), *files(page).values())
]


@pytest.mark.parametrize(("language", "text"), BLOCKS)
def test_a_code_block_is_valid(language, text):
    assert language in CHECKS, f"one of {', '.join(CHECKS)} after the three backticks"
    CHECKS[language](text)
