"""`make test` runs every test: nothing is tested outside tox, and tox forgets no folder."""

from __future__ import annotations

import configparser
import re
import tomllib

from packaging.requirements import Requirement

from docs.blocks import CHECKOUT, DOCS

TESTS = CHECKOUT / "tests"
PARTS = sorted((*CHECKOUT.glob("*/pyproject.toml"), *CHECKOUT.glob("plugins/*/pyproject.toml")))
VERSIONS = (DOCS / "admin" / "versions.md").read_text()
UNSEEN = {"3.14"}  # no run of ours has had it yet: it is promised to nobody


def environments():
    """What tox runs if nobody says what, and the environments that are described."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(CHECKOUT / "tox.ini")
    listed = parser["tox"]["env_list"].replace(",", " ").split()
    described = {
        environment
        for name in parser
        if name.startswith("testenv:")
        for environment in name.removeprefix("testenv:").strip("{}").split(",")
    }
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
    assert lines[-2:] == [
        "\t@tests/services/install",
        "\t@tests/services/scratch .venv-test/bin/tox run",
    ]
    last = (CHECKOUT / ".ci" / "run").read_text().split()
    assert last[-1] == "test"


def test_the_files_that_other_pythons_run_are_there():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(CHECKOUT / "tox.ini")
    for name in ("parts", "libraries"):
        listed = parser["supported"][name].removeprefix("\n{[supported]parts}")
        files = listed.replace("{/}", "/").replace("{tox_root}/", "").split()
        assert files
        assert [file for file in files if not (CHECKOUT / file).is_file()] == []


def test_a_python_that_is_not_there_is_skipped_by_name_and_no_failure():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(CHECKOUT / "tox.ini")
    assert parser["tox"]["skip_missing_interpreters"] == "true"
    for file in ("Makefile", ".ci/run"):
        assert "skip-missing" not in (CHECKOUT / file).read_text()


def test_the_pythons_that_are_promised_are_those_that_are_tested():
    listed, _ = environments()
    tested = {"3.11", *(re.sub(r"py3", "3.", name) for name in listed if name.startswith("py3"))}
    assert UNSEEN <= tested
    assert set(re.findall(r"^\| (3\.\d+) \|", VERSIONS, re.MULTILINE)) == tested - UNSEEN
    for file in PARTS:
        project = tomllib.loads(file.read_text())["project"]
        classifiers = "\n".join(project["classifiers"])
        assert set(re.findall(r"Python :: (3\.\d+)$", classifiers, re.MULTILINE)) == tested - UNSEEN
        assert project["requires-python"] == ">=3.11"


def test_the_versions_of_libraries_that_are_listed_are_those_that_are_asked_for():
    asked: dict[tuple[str, str], set[str]] = {}
    for file in PARTS:
        for requirement in map(
            Requirement, tomllib.loads(file.read_text())["project"]["dependencies"]
        ):
            if not requirement.name.startswith("opus-"):
                bounds = ",".join(sorted(map(str, requirement.specifier), reverse=True))
                asked.setdefault((requirement.name, bounds), set()).add(
                    file.parent.name.replace("_", "-")
                )
    listed = {
        (name, bounds): set(re.findall(r"`(opus-[a-z-]+)`", parts))
        for name, bounds, parts in re.findall(r"^\| (\S+) \| `(.*?)` \| (.*) \|$", VERSIONS, re.M)
    }
    assert listed == asked
