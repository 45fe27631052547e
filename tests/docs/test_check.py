"""The page on `opus check`: its codes are those of the sources, its commands do what it says, and
cron mails what is wrong and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from attacked import attacked_site
from docs.blocks import DOCS, blocks, matches
from docs.test_configuration import GENERATE
from opus_core import checks
from opus_core.plugins import Registry
from servers import eventually

PAGE = DOCS / "admin" / "check.md"


def test_its_codes_are_those_of_the_sources():
    command = f"{sys.executable} {DOCS / 'generate.py'}"
    text = PAGE.read_text()
    assert text == GENERATE.with_codes(text), f"check.md is out of date; renew it by: {command}"


def test_every_code_that_can_be_found_stands_there():
    listed = re.findall(r"^\| `([\w-]+)` \| (?:error|warning) \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(code.name for code in checks.all_codes(Registry.installed()))


def test_every_option_stands_there():
    said = subprocess.run(
        [sys.executable, "-m", "opus_core.cli", "check", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    options = set(re.findall(r"--[a-z]+", said)) - {"--help"}
    assert {
        f"--{word}" for word in re.findall(r"^\| `--(\w+)", PAGE.read_text(), re.MULTILINE)
    } == (options)


@pytest.fixture
def running():
    """A server without any configuration, of a user without rights, so that no job is root's."""
    with attacked_site() as one:
        one.config.unlink()
        with (one.folder / "stderr.log").open("wb") as log:
            command = [sys.executable, "-m", "opus_core.cli", "serve", "--port", str(one.port)]
            process = subprocess.Popen(
                [*one.prefix, *command], cwd=one.folder, stdout=log, stderr=log
            )
        one.processes.append(process)
        one.wait_until_up(process)
        yield one


def test_its_commands_do_what_it_says(running, tmp_path):
    opus = tmp_path / "opus"
    words = [*running.prefix, sys.executable, "-m", "opus_core.cli"]
    opus.write_text(f'#!/bin/sh\nexec {" ".join(words)} "$@"\n')
    opus.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    there = list(blocks(PAGE))
    for block in there:
        if block.file is not None:
            (running.folder / block.file).write_text(block.text)

    def said(text):
        return subprocess.run(
            ["bash", "-c", text],
            cwd=running.folder,
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
            check=True,
        ).stdout

    eventually(lambda: "supervisor" not in said("opus check --quiet"), every=1)
    for block, behind in zip(there, [*there[1:], None], strict=True):
        if block.language == "bash":
            output = said(block.text)
            assert behind is not None
            assert behind.output
            assert matches(behind.text, output), f"line {block.line} prints:\n{output}"
    [line] = [block.text for block in there if block.before == "<!-- crontab -->"]
    minute, *_, user, program, _, config, command, option = line.split()
    assert (minute, user, config) == ("17", "opus", "/srv/opus/opus.toml")
    assert Path(program).name == "opus"
    assert said(f"opus {command} {option}") == "", "cron would mail though nothing is wrong"
    (running.folder / "opus-data" / "definitions" / "periodogram" / "published").write_text("9\n")
    mailed = said(f"opus {command} {option} || true")
    assert mailed.startswith("error    definitions/periodogram/published: ")
    assert mailed.count("\n") == 1
