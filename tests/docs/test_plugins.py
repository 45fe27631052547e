"""The pages for authors of plugins: their plugins are found and told, a contract runs, causes are
those that `opus plugins` gives, and the reference is that of the sources."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from docs.blocks import DOCS, blocks, files, matches
from opus_core import hookspecs, skeleton, testing
from opus_core.backends import Manager
from servers import describe_ledger, eventually, site

PAGE = DOCS / "plugins" / "index.md"
BLOCKS = list(blocks(PAGE))
TESTING = DOCS / "plugins" / "testing.md"


def file(name: str, page: Path = PAGE) -> str:
    return files(page)[name].text


def install(folder: Path, name: str, source: str) -> None:
    """What an installer leaves behind: the module, and the metadata that name it."""
    (folder / f"{name}.py").write_text(source)
    metadata = folder / f"opus_{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: opus-{name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[opus]\n{name} = {name}\n")


def opus(*arguments: str, path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "opus_core.cli", *arguments],
        cwd=path,
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def test_every_hook_is_listed_with_its_arguments():
    text = PAGE.read_text().partition("\n## Hooks\n")[2].partition("\n## ")[0]
    listed = set(re.findall(r"^\| `(opus_\w+\(.*?\))`", text, re.MULTILINE))
    hooks = [name for name in dir(hookspecs) if name.startswith("opus_")]
    there = set()
    for hook in hooks:
        function = getattr(hookspecs, hook)
        code = function.__code__
        there.add(f"{hook}({', '.join(code.co_varnames[: code.co_argcount])})")
    assert listed == there


def test_every_method_that_a_manager_must_have_is_listed():
    [row] = re.findall(r"^\| Manager \| (.*?) \|", PAGE.read_text(), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == Manager.__abstractmethods__


def test_the_whole_plugin_hears_of_a_job(tmp_path, monkeypatch):
    project, _ = [tomllib.loads(block.text) for block in BLOCKS if block.language == "toml"]
    install(tmp_path, *project["project"]["entry-points"]["opus"], file("diary.py"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with site(tmp_path / "site") as one:
        describe_ledger(one)
        one.serve()
        job = one.create("ledger", {"ledger": str(tmp_path / "l"), "seconds": "1"})
        diary = one.folder / "diary.txt"
        job_id = job.rpartition("/")[2]
        eventually(
            lambda: diary.exists() and f"{job_id} EXECUTING COMPLETED\n" in diary.read_text()
        )
        one.request("DELETE", job)
        eventually(lambda: f"{job_id} COMPLETED deleted\n" in diary.read_text())


def test_the_extension_rings_for_the_phase_of_its_table(tmp_path, monkeypatch):
    install(tmp_path, "bell", file("bell.py"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    _, table = [block.text for block in BLOCKS if block.language == "toml"]
    with site(tmp_path / "site") as one:
        one.configure(**{"plugins.bell": table.partition("]\n")[2]})
        describe_ledger(one)
        one.serve()
        ledger = str(tmp_path / "ledger")
        one.wait(one.create("ledger", {"ledger": ledger}))
        failed = one.create("ledger", {"ledger": ledger, "code": "1"}).rpartition("/")[2]
        bell = one.folder / "data" / "bell.txt"
        eventually(lambda: bell.exists() and bell.read_text() == f"ding {failed}\n")


def test_every_kind_that_can_be_begun_is_named():
    [named] = re.findall(r"with KIND one of (.*?):", PAGE.read_text(), re.DOTALL)
    assert re.findall(r"`(\w+)`", named) == list(skeleton.KINDS)


def test_every_contract_is_listed():
    listed = re.findall(r"^\| `(\w+Contract)` \|", TESTING.read_text(), re.MULTILINE)
    assert sorted(listed) == [name for name in testing.__all__ if name.endswith("Contract")]


def test_the_reference_is_that_of_the_sources():
    command = f"{sys.executable} {DOCS / 'generate.py'}"
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    reference = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = reference  # dataclasses look there
    spec.loader.exec_module(reference)
    assert reference.PAGE.read_text() == reference.page(), f"renew it by: {command}"


def test_opus_plugins_prints_what_the_page_shows(tmp_path):
    install(tmp_path, "diary", file("diary.py"))
    [printed] = [block.text for block in BLOCKS if block.language == "text"]
    said = opus("plugins", path=tmp_path).splitlines()
    unlike = [one for one in said if not any(matches(p, one) for p in printed.splitlines())]
    assert unlike == []


def test_the_contract_runs_as_printed(tmp_path):
    (tmp_path / "test_wadl.py").write_text(file("test_wadl.py", TESTING))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "its_ or recognises", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 3


BROKEN = {
    "`import no_such_module`": "import no_such_module\n",
    "no function marked with `hookimpl`": "def opus_register_manager(): ...\n",
    "`opus_job_phases_changed`": """
        from opus_core import hookimpl

        @hookimpl
        def opus_job_phases_changed(change): ...
        """,
    "`opus_job_phase_changed(chang)`": """
        from opus_core import hookimpl

        @hookimpl
        def opus_job_phase_changed(chang): ...
        """,
    "a manager without `find`": """
        from opus_core import hookimpl
        from opus_core.backends import Manager

        class QueueManager(Manager):
            name = "queue"
            about = "hands jobs to the queue in our cellar"
            def start(self, task): ...
            def get_status(self, refs): ...
            def abort(self, ref): ...

        @hookimpl
        def opus_register_manager():
            return QueueManager
        """,
}


@pytest.fixture(scope="module")
def causes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    for number, source in enumerate(BROKEN.values()):
        install(folder, f"broken{number}", re.sub(r"^        ", "", source, flags=re.MULTILINE))
    found = {row["name"]: row for row in json.loads(opus("plugins", "--json", path=folder))}
    assert {found[f"broken{number}"]["state"] for number in range(len(BROKEN))} == {"broken"}
    return [found[f"broken{number}"]["cause"] for number in range(len(BROKEN))]


def test_the_causes_of_broken_plugins_are_those_of_the_page(causes):
    table = PAGE.read_text().partition("<!-- broken -->\n")[2].partition("\n\n")[0]
    listed = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert listed == [list(pair) for pair in zip(BROKEN, causes, strict=True)]
