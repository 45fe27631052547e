"""What the Makefile does in a fresh checkout, where nothing of OPUS is installed yet."""

from __future__ import annotations

import os
import pwd
import re
import stat
import sys

import pytest

from make.checkout import INSTALLING, fresh, make


@pytest.fixture
def checkout(tmp_path):
    """One where nothing was made yet."""
    return fresh(tmp_path / "opus")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """One in which `make demo` was typed, and what it said."""
    folder = fresh(tmp_path_factory.mktemp("make") / "opus")
    return folder, make(folder, "demo", seconds=INSTALLING)


@pytest.mark.slow
@pytest.mark.timeout(INSTALLING + 60)
def test_the_demo_ends_with_the_strongest_period(installed):
    folder, done = installed
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Installing OPUS into .venv")
    assert re.fullmatch(r"strongest period: \d+\.\d\d years", lines[-1])
    assert (folder / "opus-demo" / "strongest.json").exists()
    assert sorted(one.name for one in folder.glob(".venv*")) == [".venv"]


@pytest.mark.timeout(INSTALLING + 60)
def test_it_is_installed_once_and_again_when_the_requirements_change(installed):
    folder, _ = installed
    assert make(folder, "--question", ".venv/stamp").returncode == 0
    then = (folder / ".venv" / "stamp").stat().st_mtime
    for part in ("opus_core", "plugins/opus_manager_local"):
        for seconds, outdated in ((1, 1), (-1, 0)):
            os.utime(folder / part / "pyproject.toml", (then + seconds, then + seconds))
            assert make(folder, "--question", ".venv/stamp").returncode == outdated


@pytest.mark.timeout(INSTALLING + 60)
def test_a_site_is_set_up_for_the_user_of_the_web_server(installed):
    folder, _ = installed
    user = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    done = make(folder, "init", f"WWWUSER={user.pw_name}")
    assert done.returncode == 0, done.stderr
    data = folder / "opus-data"
    assert {one.stat().st_uid for one in (data, *data.rglob("*"))} == {user.pw_uid}
    folders = [one for one in (data, *data.rglob("*")) if one.is_dir()]
    assert all(one.stat().st_mode & stat.S_ISGID for one in folders), "a group shares what is made"
    assert f" user={user.pw_name} " in (data / "apache.conf").read_text()
    again = make(folder, "init")
    assert again.returncode == 2
    assert "opus.toml is there already" in again.stderr


@pytest.mark.timeout(INSTALLING + 60)
def test_serve_is_the_command_without_a_configuration(installed):
    folder, _ = installed
    assert make(folder, "--dry-run", "serve").stdout.splitlines() == [".venv/bin/opus serve"]


@pytest.mark.timeout(INSTALLING + 60)
def test_a_user_that_there_is_not_is_a_sentence(installed):
    folder, _ = installed
    done = make(folder, "init", "WWWUSER=no such user")
    assert done.returncode == 2
    assert done.stderr.startswith("opus: there is no system user 'no such user'\n")


def test_help_names_every_target_for_people(checkout):
    said = make(checkout, "help")
    assert said.returncode == 0
    assert make(checkout).stdout == said.stdout
    phony = re.search(r"^\.PHONY: (.*)", (checkout / "Makefile").read_text(), re.MULTILINE)[1]
    named = re.findall(r"^  make (\w+) +\S", said.stdout, re.MULTILINE)
    assert named == phony.split()


@pytest.fixture
def python(tmp_path):
    """Makes a `python3` that fails at what contains a word, and answers where it lies."""

    def lacking(word):
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "python3").write_text(
            f'#!/bin/sh\ncase "$2" in *"{word}"*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n'
        )
        (folder / "python3").chmod(0o755)
        return f"{folder}:{os.environ['PATH']}"

    return lacking


@pytest.mark.parametrize(
    "target", ["demo", "serve", "init", "test", "bench", "soak", "docs", "release", "version"]
)
def test_without_ensurepip_it_says_the_one_command_to_type(checkout, python, target):
    done = make(checkout, target, PATH=python("ensurepip"))
    assert done.returncode == 2
    first = done.stderr.splitlines()[0]
    assert first.startswith("python3 cannot make virtual environments yet. Type this")
    assert first.endswith("sudo apt-get install python3-venv")
    assert not list(checkout.glob(".venv*"))


def test_an_old_python_is_told(checkout, python):
    done = make(checkout, "demo", PATH=python("version_info"))
    assert done.returncode == 2
    assert "OPUS needs Python 3.11 or newer" in done.stderr.splitlines()[0]
    assert "make demo PYTHON=python3.12" in done.stderr.splitlines()[0]


def test_another_python_can_be_named(checkout, python):
    """One that lacks something, so that it says its own name."""
    another = f"{python('ensurepip').partition(':')[0]}/python3"
    done = make(checkout, "demo", f"PYTHON={another}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"{another} cannot make virtual environments yet.")
