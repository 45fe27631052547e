"""The commands on the pages do what the pages say: every block of bash runs, in the order in which
it is printed, against a server as `opus serve` makes it; a block of text behind one is its output.

`...` in an output stands for anything. Blocks of sh are only shown.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.blocks import DOCS, blocks, matches
from servers import site

PRINTED = "http://127.0.0.1:8080"
MARK = "\x1e"


@pytest.fixture
def one(tmp_path):
    """A server without any configuration, in an empty folder."""
    with site(tmp_path / "site") as opened:
        opened.config.unlink()
        with (opened.folder / "stderr.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "opus_core.cli", "serve", "--port", str(opened.port)],
                cwd=opened.folder,
                stdout=log,
                stderr=log,
            )
        opened.processes.append(process)
        opened.wait_until_up(process)
        yield opened


def commands(page: Path) -> list[tuple[int, str, str | None]]:
    """Line, commands and expected output of each block that runs."""
    found: list[tuple[int, str, str | None]] = []
    for block in blocks(page):
        if block.language == "bash" and block.file is None:
            found.append((block.line, block.text, None))
        elif block.output:
            found[-1] = (*found[-1][:2], block.text)
    return found


WITH_COMMANDS = [page for page in sorted(DOCS.glob("*.md")) if commands(page)]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_the_commands_of_a_page_do_what_it_says(page, one):
    for block in blocks(page):
        if block.file is not None:
            (one.folder / block.file).write_text(block.text)
    run = commands(page)
    script = "".join(f"{text}printf '{MARK}'\n" for _, text, _ in run)
    done = subprocess.run(
        ["bash", "-e", "-c", script.replace(PRINTED, one.url)],
        cwd=one.folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "OPUS_SERVER": one.url,
        },
    )
    outputs = done.stdout.replace(one.url, PRINTED).split(MARK)
    assert len(outputs) == len(run) + 1, f"line {run[len(outputs) - 1][0]}: {done.stderr}"
    for (line, _, printed), said in zip(run, outputs, strict=False):
        if printed is not None:
            assert matches(printed, said), f"line {line} prints:\n{said}"


def test_dots_stand_for_anything_and_nothing_else_does():
    assert matches("job ...\ndone\n", "job 12\nrunning\ndone\n")
    assert not matches("job ...\ndone\n", "job 12\nfailed\n")
