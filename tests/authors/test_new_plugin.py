"""`opus new-plugin`: what it makes builds, installs, is found, is red, and turns green when its
methods are written."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from authors import solutions
from authors.typed import PAGES, opus, run
from opus_core.skeleton import KINDS
from wheels import CHECKOUT

# What an author writes from the line on that begins the class.
CLASSES = {
    "storage": solutions.STORAGE,
    "jdl": solutions.JDL,
    "auth": solutions.AUTH,
    "observer": solutions.OBSERVER,
}
TABLES = {"auth": '[plugins.night]\nkey_file = "key"\n', "observer": '[plugins.night]\nurl = "x"\n'}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def folder(kind, tmp_path) -> Path:
    """A plugin that has just been begun."""
    said = opus("new-plugin", kind, "night", cwd=tmp_path)
    assert said.startswith(f"opus_{kind}_night has a plugin that does nothing yet. Next:\n")
    return tmp_path / f"opus_{kind}_night"


def verdict(folder: Path, *options: str) -> tuple[int, int]:
    """How many tests of a plugin's folder fail, and how many pass."""
    command = (sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider")
    path = os.pathsep.join([str(folder / "src"), str(CHECKOUT / "tests")])
    settings = {
        "PYTHONPATH": path,
        "OPUS_TESTING_PATIENCE": "20",
        "PATH": f"{PAGES / 'cellar'}{os.pathsep}{os.environ['PATH']}",
    }
    shell = ("bash", "-c", '"$@" || [ $? = 1 ]', "-")
    said = run(*shell, *command, *options, cwd=folder, **settings)
    last = said.splitlines()[-1]
    failed = sum(int(number) for number in re.findall(r"(\d+) (?:failed|error)", last))
    passed = re.search(r"(\d+) passed", last)
    return failed, int(passed[1]) if passed else 0


def test_it_builds_installs_and_is_listed(kind, folder, tmp_path):
    pip = (sys.executable, "-m", "pip")
    wheels, there = tmp_path / "wheels", tmp_path / "there"
    run(
        *pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", wheels, folder, cwd=tmp_path
    )
    run(*pip, "install", "-q", "--no-deps", "--target", there, *wheels.iterdir(), cwd=tmp_path)
    if kind in TABLES:
        (tmp_path / "opus.toml").write_text(TABLES[kind])

    found = json.loads(opus("plugins", "--json", cwd=tmp_path, PYTHONPATH=str(there)))

    [row] = [row for row in found if row["name"] == "night"]
    assert row["distribution"] == f"opus-{kind}-night"
    assert row["offers"] == [f"{KINDS[kind].offers} night"]
    assert row["state"] == ("selected" if kind in TABLES else "ok")
    assert row["cause"] == ""


@pytest.fixture(scope="session")
def checked_types(tmp_path_factory) -> str:
    """What mypy has found out of the core, which is the same for every plugin."""
    return str(tmp_path_factory.mktemp("mypy"))


def test_what_it_makes_is_clean_and_typed(folder, checked_types):
    run(
        "ruff",
        "check",
        "--isolated",
        "--select",
        "E,F,W,I,B,UP",
        "--line-length",
        "100",
        ".",
        cwd=folder,
    )
    run("ruff", "format", "--isolated", "--check", "--line-length", "100", ".", cwd=folder)
    run("mypy", "--strict", "src", cwd=folder, MYPYPATH="src", MYPY_CACHE_DIR=checked_types)


def test_it_imports_from_doors_alone(folder):
    """What stands behind `opus_core.backends` is no author's business, and may move."""
    found = {line for file in folder.rglob("*.py") for line in file.read_text().splitlines()}
    ours = {line for line in found if line.startswith("from opus_core")}
    assert ours
    assert not [line for line in ours if re.match(r"from opus_core\.\w+\.", line)]


def test_its_tests_are_red_at_once_for_want_of_its_methods(folder):
    failed, passed = verdict(folder, "--maxfail=3")
    assert failed
    assert passed


def write(kind: str, folder: Path) -> None:
    """What an author does: the methods in place of the stubs, and how it is seen what they do."""
    file = folder / "src" / folder.name / f"{kind}.py"
    text = file.read_text()
    begun = text.index("\nclass Night" + KINDS[kind].suffix)
    file.write_text(text[:begun] + CLASSES[kind])
    if kind == "observer":
        tests = folder / "tests" / "test_contract.py"
        lines = tests.read_text().splitlines(keepends=True)
        assert "pytest.fail" in lines[-1]
        tests.write_text("".join(lines[:-1]) + solutions.HEARD)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.soak if kind in ("storage", "jdl") else ())
        for kind in CLASSES
    ],
)
def test_its_tests_are_green_when_its_methods_are_written(kind, folder):
    write(kind, folder)
    failed, passed = verdict(folder)
    assert failed == 0
    assert passed > 10


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["auth", "observer"])
def test_a_whole_server_uses_it_by_the_command_of_its_readme(kind, folder, tmp_path):
    write(kind, folder)
    there = tmp_path / "there"
    run(
        *(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"),
        *("--target", there, folder),
        cwd=tmp_path,
    )
    [command] = re.findall(r"^pytest .*journeys$", (folder / "README.md").read_text(), re.MULTILINE)
    some = f"{sys.executable} -m {command} -k 'signed_in or byte_for_byte'"

    said = run("bash", "-c", some, cwd=folder, PYTHONPATH=str(there))
    assert f"{2 if kind == 'auth' else 1} passed" in said

    if kind == "auth":
        nobody = re.sub("--opus-header '.*?'", "", some).replace(" or byte_for_byte", "")
        (folder / "tests" / "opus.toml").write_text('[plugins.night]\nkey_file = "{here}/key"\n')
        said = run("bash", "-c", nobody, cwd=folder, code=1, PYTHONPATH=str(there))
        assert "night is to know who is asking, and nobody was sent there" in said


def test_each_method_that_has_to_be_written_is_there_with_its_promise(kind, folder):
    source = (folder / "src" / folder.name / f"{kind}.py").read_text()
    for stub in KINDS[kind].stubs():
        assert stub.source in source
        assert '"""' in stub.source
    assert source.count("raise NotImplementedError") == len(KINDS[kind].stubs())


MISTAKES = {
    "of another kind": (("queue", "night"), "argument KIND: invalid choice: 'queue'"),
    "a name with a dash": (("manager", "at-night"), "'at-night' cannot be the name of a plugin"),
    "a word of Python's": (("manager", "class"), "'class' cannot be the name of a plugin"),
    "a way out": (("manager", "../night"), "'../night' cannot be the name of a plugin"),
    "taken": (("storage", "sqlite"), "opus-storage-sqlite offers the storage sqlite already"),
}


@pytest.mark.parametrize(("words", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_a_sentence_and_makes_nothing(tmp_path, words, sentence):
    assert sentence in opus("new-plugin", *words, cwd=tmp_path, code=2)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_stays(tmp_path):
    (tmp_path / "opus_jdl_night").mkdir()
    kept = tmp_path / "opus_jdl_night" / "kept"
    kept.touch()
    assert "is there already" in opus("new-plugin", "jdl", "night", cwd=tmp_path, code=2)
    assert list((tmp_path / "opus_jdl_night").iterdir()) == [kept]


def test_it_can_be_made_elsewhere(tmp_path):
    opus("new-plugin", "jdl", "night", "--folder", "a/b", cwd=tmp_path)
    assert (tmp_path / "a" / "b" / "opus_jdl_night" / "pyproject.toml").exists()


def test_the_tutorial_s_plugin_was_begun_by_it(tmp_path):
    """Only what the tutorial has its reader write is another than was made."""
    opus("new-plugin", "manager", "cellar", cwd=tmp_path)
    made, kept = (one / "opus_manager_cellar" for one in (tmp_path, PAGES / "cellar"))
    written = {"src/opus_manager_cellar/manager.py", "tests/test_contract.py"}

    def texts(folder: Path) -> dict[str, str]:
        files = [
            one for one in folder.rglob("*") if one.is_file() and "__pycache__" not in one.parts
        ]
        return {str(one.relative_to(folder)): one.read_text() for one in files}

    differing = {path for path, text in texts(made).items() if texts(kept).get(path) != text}
    assert differing == written
    assert texts(kept).keys() == texts(made).keys()


@pytest.mark.soak  # whoever types the tutorial runs it as well
def test_the_tutorial_s_plugin_keeps_the_contract(tmp_path):
    shutil.copytree(PAGES / "cellar" / "opus_manager_cellar", tmp_path / "plugin")
    failed, passed = verdict(tmp_path / "plugin")
    assert failed == 0
    assert passed > 50
