from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from opus_core.commands import plugins as command

MAIL = """
from opus_core import hookimpl
from opus_core.backends import Manager

class Manager(Manager):
    about = "jobs by letter"
    start = find = get_status = abort = lambda self, *asked: None

class Post(Manager):
    name = "post"

class Pigeon(Manager):
    name = "pigeon"

@hookimpl
def opus_register_manager():
    return [Post, Pigeon]
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of the path where a good and a broken plugin are installed."""
    monkeypatch.syspath_prepend(tmp_path)
    for name, source in (("mail", MAIL), ("broken", "import no_such_module")):
        (tmp_path / f"opus_command_{name}.py").write_text(source)
        info = tmp_path / f"opus_command_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: opus-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[opus]\n{name} = opus_command_{name}\n")
    (tmp_path / "opus.toml").write_text("")
    return tmp_path


def listed(site: Path, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path)
    command.add(parser.add_subparsers())
    args = parser.parse_args(["--config", str(site / "opus.toml"), "plugins", *arguments])
    return args.run(args)


def test_good_and_broken_plugins_are_listed_as_json(site, capsys):
    assert listed(site, "--json") == 0

    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["mail"] == {
        "name": "mail",
        "distribution": "opus-mail",
        "version": "1.0",
        "hooks": ["opus_register_manager"],
        "offers": ["manager post", "manager pigeon"],
        "about": ["jobs by letter", "jobs by letter"],
        "state": "ok",
        "cause": "",
    }
    assert rows["broken"]["state"] == "broken"
    assert "no_such_module" in rows["broken"]["cause"]


def test_the_table_has_a_line_for_each_offer_and_the_causes_below(site, capsys):
    assert listed(site) == 0

    lines = capsys.readouterr().out.splitlines()
    words = [line.split() for line in lines]
    assert words[0] == ["NAME", "DISTRIBUTION", "VERSION", "STATE", "OFFERS"]
    first = words.index("mail opus-mail 1.0 ok manager post jobs by letter".split())
    assert words[first + 1] == "manager pigeon jobs by letter".split()
    assert "broken of opus-broken: ModuleNotFoundError: No module named 'no_such_module'" in lines


def test_what_is_disabled_is_listed_as_that(site, capsys):
    (site / "opus.toml").write_text("[plugins]\ndisabled = ['mail']")

    assert listed(site) == 0

    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["mail", "opus-mail", "1.0", "disabled"] in words
