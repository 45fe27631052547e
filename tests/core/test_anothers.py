"""What root types where the installation is another user's: refused, before anything is opened."""

from __future__ import annotations

import argparse
import os
import pwd
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.helpers.checked import Checked, checked
from isolated import NOBODY, needs_root, open_folder
from opus_core import cli
from opus_core.checks.child import answers

FREE = {"demo", "run", "init", "check", "plugins", "new-plugin"}
"""These open no installation that was there, or, as `check`, look at it as its owner."""


@pytest.fixture
def user() -> pwd.struct_passwd:
    needs_root()
    return pwd.getpwnam(NOBODY)


@pytest.fixture
def site(user, monkeypatch) -> Iterator[Checked]:
    with open_folder() as folder, checked(folder, monkeypatch) as one:
        one.configure('log_file = "opus.log"')
        yield one


def commands(parser: argparse.ArgumentParser, *words: str) -> Iterator[list[str]]:
    """All that can be typed, each with something for what has to be there."""
    below = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    for name, one in below[0].choices.items() if below else ():
        yield from commands(one, *words, name)
    if not below:
        needed: list[str] = []
        for action in parser._actions:
            if action.option_strings and action.required:
                needed += [action.option_strings[0], "x"]
            elif not action.option_strings and action.nargs not in ("?", "*"):
                needed.append("x")
        yield [*words, *needed]


def typed(site: Checked) -> Iterator[list[str]]:
    """All commands that work on an installation, with this one named."""
    file = site.folder / "opus.toml"
    config = ["--config", str(file)]
    for words in commands(cli.build_parser()):
        if words[0] not in FREE and words[:2] != ["db", "copy"]:
            yield [*config, *words]
    for which in ("--adopt", "--new-instance"):
        yield [*config, "init", which]
        yield ["init", str(site.folder), which]
    own = site.folder.parent / "own.toml"
    shutil.copy(file, own)
    yield ["db", "copy", str(file), str(own)]
    yield ["db", "copy", str(own), str(file)]


def there(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_uid, path.stat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.mark.parametrize("owned", ["opus.toml", ".", "data"])
def test_every_command_is_refused_and_nothing_is_made(site, user, capsys, owned):
    """Whoever owns the file or a folder above decides what is in it; whoever owns the data folder
    could not write what root leaves there."""
    if owned == "data":
        site.data.mkdir()
    path = site.folder / owned
    os.chown(path, user.pw_uid, user.pw_gid)
    told = [*typed(site)]
    before = there(site.folder)
    assert len(told) > 25
    for words in told:
        # The first configuration of `db copy` may be root's own, and is opened then.
        code = cli.main(words)
        said = capsys.readouterr().err
        assert (code, said[: len(f"opus: {path} belongs")]) == (2, f"opus: {path} belongs"), words
        assert said.endswith(f"type this as {NOBODY}: runuser -u {NOBODY} -- opus ...\n")
    assert there(site.folder) == before


def test_who_owns_it_may_and_so_may_root_where_it_is_roots(site, user):
    words = ["--config", str(site.folder / "opus.toml"), "jdl", "list"]
    assert cli.main(words) == 0
    for path in site.folder.parent.rglob("*"):  # the plugins, too
        os.chown(path, user.pw_uid, user.pw_gid)
    assert cli.main(words) == 2
    assert [*answers(user, lambda: [cli.main(words)])] == [0]


def test_a_user_without_a_name_is_told_by_number_and_that_works(site, capfd):
    needs_root()
    number = 2_000_123_456
    words = ["--config", str(site.folder / "opus.toml"), "jdl", "list"]
    assert cli.main(words) == 0
    for path in site.folder.parent.rglob("*"):
        os.chown(path, number, number)
    assert cli.main(words) == 2
    way_out = capfd.readouterr().err.rpartition(f"type this as {number}: ")[2]
    assert way_out.endswith("opus ...\n")
    again = way_out.replace("opus ...", f"{sys.executable} -c 'import os; print(os.getresuid())'")
    done = subprocess.run(shlex.split(again), capture_output=True, text=True)
    assert done.stdout == f"({number}, {number}, {number})\n"
