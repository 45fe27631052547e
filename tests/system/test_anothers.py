"""Root in front of another user's installation: what is refused, and that the way out works."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from attacked import as_nobody
from isolated import NOBODY, needs_root, open_folder
from opus_core.testing.server import Server
from servers import Site, eventually, site


@pytest.fixture
def base() -> Iterator[Path]:
    needs_root()
    with open_folder() as folder:
        yield folder


@pytest.fixture
def roots(base) -> Iterator[Site]:
    """A configuration of root's, of a data folder of nobody's."""
    with site(base / "roots") as one:
        one.opus("init", str(base / "data"), "--user", NOBODY)
        yield one


@pytest.fixture
def theirs(base, roots) -> Iterator[Server]:
    """The same folder with nobody's own configuration in it."""
    one = Server(base / "data")
    yield one
    one.stop()


def owners(folder: Path) -> set[str]:
    """Of all but what this test writes itself: what its servers print."""
    found = [path for path in (folder, *folder.rglob("*")) if path.suffix != ".log"]
    return {pwd.getpwuid(path.stat().st_uid).pw_name for path in found}


def choose(one: Server) -> Path:
    """Have the configuration name a program that writes down who runs it; where it does."""
    program, told = one.folder / "sbatch", one.folder / "who"
    program.write_text(f"#!/bin/sh\nid -u >> {told}\nexit 1\n")
    program.chmod(0o755)
    os.chown(program, 65534, 65534)
    names = ("sbatch", "squeue", "scancel", "scontrol")
    commands = ", ".join(f'{name} = "{program}"' for name in names)
    chosen = f'use = "slurm"\ncommands = {{ {commands} }}'
    text, times = re.subn(r'^use = "local".*', chosen, one.config.read_text(), flags=re.MULTILINE)
    assert times == 1
    one.config.write_text(text)
    return told


def test_root_is_told_as_whom_to_type_it_and_that_works(theirs):
    """Root runs no program that the other user has chosen, and leaves no file of its own."""
    told = choose(theirs)
    for words in (("serve",), ("supervise",), ("jobs", "abort", "0123"), ("user", "link", "admin")):
        refused = theirs.opus(*words, check=False)
        assert refused.returncode == 2
        assert f"type this as {NOBODY}: runuser -u {NOBODY} -- opus ..." in refused.stderr
    assert not told.exists()
    assert owners(theirs.folder) == {NOBODY}
    theirs.prefix = as_nobody()
    assert "/signin/" in theirs.opus("user", "link", "admin").stdout
    theirs.start("supervise")
    eventually(told.exists)
    theirs.stop()
    assert set(told.read_text().split()) == {"65534"}
    assert owners(theirs.folder) == {NOBODY}


def test_root_may_where_nobody_else_decides_and_the_supervisor_is_root(roots, base):
    """As docs/admin/local.md has it: jobs run as a user of their own."""
    (base / "data").chmod(0o2771)
    jobs = next(user.pw_name for user in pwd.getpwall() if user.pw_uid not in (0, 65534))
    data = f'data_dir = "{base / "data"}"'
    manager = f'use = "local"\nrun_as = "{jobs}"'
    roots.configure(manager=manager, supervisor="embedded = false")
    roots.config.write_text(roots.config.read_text().replace('data_dir = "data"', data))
    assert "/signin/" in roots.opus("user", "link", "admin").stdout
    roots.start("supervise")
    eventually(lambda: "supervising" in (roots.folder / "stdout.log").read_text())
    roots.stop()
    os.chown(roots.config, 65534, -1)
    refused = roots.opus("supervise", check=False)
    assert refused.returncode == 2
    assert f"{roots.config} belongs to {NOBODY}" in refused.stderr
