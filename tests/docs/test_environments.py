"""`make test` runs every test: nothing is tested outside tox, and tox forgets no folder."""

from __future__ import annotations

import configparser

from docs.blocks import CHECKOUT

TESTS = CHECKOUT / "tests"


def environments():
    """What tox runs if nobody says what, and the environments that are described."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(CHECKOUT / "tox.ini")
    listed = parser["tox"]["env_list"].replace(",", " ").split()
    described = {name.removeprefix("testenv:") for name in parser if name.startswith("testenv:")}
    return listed, described


def test_tox_runs_every_environment_that_is_described_and_every_folder_of_tests():
    listed, described = environments()
    folders = {file.parent.name for file in TESTS.glob("*/test_*.py")}
    assert set(listed) == described | folders
    assert len(set(listed)) == len(listed)


def test_every_test_lies_in_a_folder_of_an_environment():
    assert not list(TESTS.glob("test_*.py"))
    assert not [file for file in TESTS.rglob("test_*.py") if file.parent.parent != TESTS]


def test_make_test_runs_all_of_them():
    lines = (CHECKOUT / "Makefile").read_text().split("\ntest:")[1].split("\n\n")[0].splitlines()
    assert lines[-2:] == ["\t@tests/services/install", "\t@.venv-test/bin/tox run"]
    last = (CHECKOUT / ".ci" / "run").read_text().split()
    assert last[-1] == "test"
