"""What is in the wheels is what is in the sources, and the tests here run from them."""

from __future__ import annotations

import importlib
import os
import tomllib
import zipfile
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

from wheels import CHECKOUT, sources

WHEELS = sorted(Path(os.environ["OPUS_WHEELS"]).glob("*.whl"))
PACKAGES = [folder.name for folder in sources()]


def files_below(folder: Path) -> set[str]:
    """What a wheel has to hold: caches of tools are no part of a package."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder))
        for path in found
        if not {"__pycache__", ".ruff_cache"} & {*path.parts}
    }


@pytest.fixture(params=sources(), ids=lambda folder: folder.name)
def source(request):
    return request.param


@pytest.fixture
def contents(source):
    [wheel] = [wheel for wheel in WHEELS if wheel.name.startswith(f"{source.name}-")]
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_every_file_of_the_package_is_in_its_wheel(source, contents):
    files = files_below(source / "src" / source.name)
    assert {f"{source.name}/{name}" for name in files} <= set(contents)


def test_a_wheel_has_nothing_but_its_package_and_metadata(source, contents):
    assert {name.split("/")[0] for name in contents} == {
        source.name,
        f"{source.name}-{version(source.name)}.dist-info",
    }


def test_a_wheel_says_that_it_is_typed(source, contents):
    assert f"{source.name}/py.typed" in contents


def test_a_wheel_carries_the_licence(contents):
    [name] = [name for name in contents if name.endswith("/licenses/LICENSE")]
    assert contents[name] == (CHECKOUT / "LICENSE").read_bytes()


@pytest.mark.parametrize("source", [CHECKOUT / "opus_core"], indirect=True)
def test_the_core_carries_the_examples(contents):
    expected = {f"opus_core/examples/{name}" for name in files_below(CHECKOUT / "examples")}
    assert expected
    assert expected <= set(contents)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tests_here_run_from_the_wheels(package):
    file = importlib.import_module(package).__file__
    assert file is not None
    assert not Path(file).is_relative_to(CHECKOUT / package)
    assert "site-packages" in file


@pytest.mark.parametrize("entry", entry_points(group="opus"), ids=lambda entry: entry.name)
def test_every_entry_point_loads(entry):
    assert entry.load()


def test_there_is_an_entry_point_for_every_back_end():
    assert {entry.name for entry in entry_points(group="opus")} == {
        "sqlite",
        "postgresql",
        "slurm",
        "local",
        "wadl",
        "votable",
        "metrics",
        "notify",
    }


# A new distribution is named in five places; these say which one was forgotten.


@pytest.fixture(scope="module")
def root():
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())


def test_the_whole_consists_of_every_distribution(root):
    named = {line.partition("{root:uri}/")[2] for line in root["project"]["dependencies"]}
    assert named == {str(folder.relative_to(CHECKOUT)) for folder in sources()}


def test_the_workspace_has_every_distribution(root):
    assert set(root["tool"]["uv"]["sources"]) == {name.replace("_", "-") for name in PACKAGES}


def test_mypy_checks_every_distribution(root):
    expected = {str(folder.relative_to(CHECKOUT) / "src") for folder in sources()}
    assert set(root["tool"]["mypy"]["files"]) == {*expected, "benchmarks", "release"}


@pytest.mark.parametrize("name", ["Makefile", "tox.ini"])
def test_every_distribution_is_installed_by(name):
    text = (CHECKOUT / name).read_text().replace("{/}", "/")
    assert [path for path in sources() if str(path.relative_to(CHECKOUT)) not in text] == []


def test_all_distributions_have_one_version(root):
    found = {
        tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
        for folder in sources()
    }
    assert found == {root["project"]["version"]}
