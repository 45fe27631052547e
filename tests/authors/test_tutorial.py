"""docs/plugins: what an author is told to type does what the pages say, from an empty folder, with
nothing but `dist/` and the page's own files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import wheels
from authors.typed import PAGES, run
from docs.blocks import Block, blocks, matches

MARK = "\x1e"
MINUTES = 8


def script(page: Path) -> tuple[str, list[list[Block]]]:
    """All that a reader types, files included; the blocks that run, each with its output if that is
    shown."""
    lines, running = ["set -e\nROOT=$PWD\n"], []
    for number, block in enumerate(blocks(page)):
        if block.file is not None:
            file, word = f'"$ROOT"/{block.file}', f"END-{number}"
            into, blank = (">>", "\n") if block.appended else (">", "")
            lines.append(f"cat {into} {file} <<'{word}'\n{blank}{block.text}{word}\n")
        elif block.language == "bash":
            lines.append(f"{block.text}printf '{MARK}'\n")
            running.append([block])
        elif block.output:
            running[-1].append(block)
    return "".join(lines), running


def typed(page: Path, folder: Path) -> None:
    """Type all of a page in this folder, and compare what is printed."""
    text, running = script(page)
    with (folder / "stderr").open("w") as errors:
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            timeout=60 * MINUTES,
        )
    said, told = done.stdout.split(MARK), (folder / "stderr").read_text()
    for (block, *shown), output in zip(running, said, strict=False):
        where = f"{page.name}, line {block.line}"
        assert len(said) > len(running) or block is not running[len(said) - 1][0], (
            f"{where} fails: {output}\n{told}"
        )
        for one in shown:
            assert matches(one.text, output), f"{where} prints:\n{output}\n{told}"


@pytest.mark.slow
@pytest.mark.timeout(60 * (MINUTES + 2))
def test_the_tutorial_then_publishing_from_an_empty_folder(tmp_path):
    wheels.build(tmp_path / "dist")
    shutil.copy(PAGES / "cellar" / "cellar", tmp_path / "cellar")

    typed(PAGES / "tutorial.md", tmp_path)

    made = tmp_path / "opus_manager_cellar"
    for file in ("src/opus_manager_cellar/manager.py", "tests/test_contract.py"):
        kept = PAGES / "cellar" / "opus_manager_cellar" / file
        assert (made / file).read_text() == kept.read_text(), "the page and its folder differ"

    typed(PAGES / "publishing.md", tmp_path)
    deprecated = "import retired; print(*retired.RetiredManager(None).warnings())"
    said = run(tmp_path / "venv" / "bin" / "python", "-c", deprecated, cwd=tmp_path)
    assert said == 'the retired manager ends with version 2; write use = "cellar"\n'


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.name)
def test_every_block_of_bash_is_run_by_a_test(page):
    """What another page has of bash is typed by the tutorial, too."""
    if page.name in ("tutorial.md", "publishing.md"):
        return
    tutorial = (PAGES / "tutorial.md").read_text()
    for block in blocks(page):
        if block.language in ("bash", "sh"):
            assert block.text.rstrip() in tutorial, f"line {block.line}"
