"""The page of commands says what the parser of `opus` says."""

from __future__ import annotations

import importlib.util
import re
import sys

import pytest

from docs.blocks import DOCS
from opus_core.cli import build_parser
from opus_core.commands import NAMES

PAGE = (DOCS / "commands.md").read_text()


def sections():
    """What stands below the heading of each command."""
    pieces = re.split(r"^##+ opus (.*)\n", PAGE, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def test_it_is_made_from_the_parser(monkeypatch):
    monkeypatch.delenv("OPUS_SERVER", raising=False)
    spec = importlib.util.spec_from_file_location("commands_page", DOCS / "commands.py")
    commands = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(commands)
    assert commands.page() == PAGE, f"renew it by: {sys.executable} {DOCS / 'generate.py'}"


def test_it_has_every_command_in_order():
    named = re.findall(r"^\| \[`opus ([\w-]+)`\]", PAGE, re.MULTILINE)
    assert named == list(NAMES)
    assert [name for name in sections() if " " not in name] == list(NAMES)


@pytest.mark.parametrize("command", sections())
def test_what_help_lists_stands_there(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.delenv("OPUS_SERVER", raising=False)
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args([*command.split(), "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    text = sections()[command]
    options = set(re.findall(r"--[a-z][\w-]*", said.partition("exit code")[0])) - {"--help"}
    assert options == set(re.findall(r"--[a-z][\w-]*", text))
    for row in re.findall(r"^\| `.*?` \| (.*) \|$", text, re.MULTILINE):
        assert row.partition("; one of `")[0] in said
