from __future__ import annotations

import argparse
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opus_core import cli, commands
from opus_core.commands import plugins
from opus_core.errors import BadRequest


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (BadRequest("name another file"), "opus: name another file\n"),
        (
            PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/etc/opus"),
            "opus: /etc/opus: Permission denied\n",
        ),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "opus: Input/output error\n"),
        (OSError("odd"), "opus: odd\n"),
    ],
)
def test_what_a_command_raises_is_one_sentence(monkeypatch, capsys, error, sentence):
    def run(args):
        raise error

    before = os.umask(0)
    monkeypatch.setattr(plugins, "run", run)
    try:
        assert cli.main(["plugins"]) == 2
    finally:
        os.umask(before)
    assert capsys.readouterr().err == sentence


def test_every_module_with_a_parser_is_a_command():
    modules = Path(commands.__file__).parent.glob("[!_]*.py")
    has_parser = {path.stem for path in modules if "\ndef add(" in path.read_text()}
    assert {name.replace("-", "_") for name in commands.NAMES} == has_parser


@pytest.mark.parametrize(
    ("argv", "listed"),
    [
        (["jobs", "--help"], ["list"]),
        (["--config", "jobs", "db", "--help"], ["copy"]),
        (["--config=x", "db", "--help"], ["copy"]),
        (["--help", "jobs"], commands.NAMES),
        (["--conf", "x", "--help"], commands.NAMES),
        (["job"], commands.NAMES),
        (["--config"], []),
        ([], []),
    ],
)
def test_a_command_is_found_wherever_it_may_stand(argv, listed, capsys):
    with pytest.raises(SystemExit):
        cli.main(argv)
    said = "".join(capsys.readouterr())
    assert "usage: opus" in said
    assert [name for name in listed if name not in said] == []


def test_a_command_loads_none_of_the_others():
    program = (
        "import contextlib, sys\n"
        "from opus_core import cli\n"
        "with contextlib.suppress(SystemExit):\n"
        "    cli.main(['run', '--help'])\n"
        "print(*sorted(name for name in sys.modules if name.startswith('opus_core.')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert "opus_core.commands.run" in loaded
    assert not {"opus_core.app", "opus_core.commands.serve", "opus_core.checks"} & {*loaded}


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser, and those of all commands below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from parsers(one)


def test_every_command_and_argument_says_what_it_is():
    unsaid = []
    for parser in parsers(cli.build_parser()):
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                told = {choice.dest for choice in action._choices_actions if choice.help}
                unsaid += [f"{parser.prog} {name}" for name in action.choices.keys() - told]
            elif not action.help:
                unsaid.append(f"{parser.prog} {'/'.join(action.option_strings) or action.dest}")
    assert unsaid == []
