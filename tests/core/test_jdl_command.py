from __future__ import annotations

import argparse
import json
from dataclasses import replace

import pytest

from json_jdl import JsonJdl, NewJdl
from opus_core.backends import Bundle
from opus_core.commands import jdl
from opus_core.definition import JobDefinition
from opus_core.definitions import Catalogue
from opus_core.errors import BadRequest, CannotCarry, NotFound, OpusError

JSON, NEW = JsonJdl(None), NewJdl(None)
COUNT = JobDefinition(name="count", script="true\n")


@pytest.fixture
def opus(tmp_path):
    """`opus jdl ...` on a catalogue of the test's own."""
    catalogue = Catalogue(tmp_path / "definitions", JSON, [NEW])

    def run(*words):
        parser = argparse.ArgumentParser()
        jdl.add(parser.add_subparsers(dest="command"))
        return jdl.act(parser.parse_args(["jdl", *map(str, words)]), catalogue)

    run.catalogue = catalogue
    return run


def document(folder, definition=COUNT, name="count.json"):
    bundle = JSON.dumps(definition)
    (folder / name).write_bytes(bundle.data)
    (folder / "script").write_bytes(bundle.files["script"])
    return folder / name, folder / "script"


def test_an_imported_description_is_a_draft_until_it_is_published(opus, tmp_path, capsys):
    file, script = document(tmp_path)
    assert opus("import", file, "--script", script) == 0
    assert "next: opus jdl publish count" in capsys.readouterr().out
    assert opus.catalogue.names() == []
    assert opus("publish", "count") == 0
    assert "count is published as version 1" in capsys.readouterr().out
    assert opus.catalogue.published("count").definition == COUNT
    assert opus.catalogue.drafts() == []


def test_an_import_may_publish_at_once_under_another_name(opus, tmp_path):
    file, script = document(tmp_path)
    opus("import", file, "--script", script, "--name", "sum", "--publish")
    assert opus.catalogue.published("sum").definition == replace(COUNT, name="sum")


def test_a_description_without_a_name_is_called_like_its_file(opus, tmp_path):
    file, script = document(tmp_path, replace(COUNT, name=""), "from_file.v2.json")
    opus("import", file, "--script", script, "--publish")
    assert opus.catalogue.names() == ["from_file"]


def test_without_a_script_nothing_is_published(opus, tmp_path):
    file, _ = document(tmp_path)
    with pytest.raises(BadRequest, match="no script"):
        opus("import", file, "--publish")


def test_a_file_that_cannot_be_read_is_named(opus, tmp_path):
    with pytest.raises(OpusError, match=r"none\.json cannot be read: No such file"):
        opus("import", tmp_path / "none.json")


def test_somebody_elses_draft_is_published_if_it_is_the_only_one_or_is_named(opus):
    opus.catalogue.save_draft(COUNT, "ada@elsewhere")
    opus("publish", "count")
    opus.catalogue.save_draft(replace(COUNT, version="a"), "ada@elsewhere")
    opus.catalogue.save_draft(replace(COUNT, version="b"), "bob@elsewhere")
    with pytest.raises(BadRequest, match="choose with --author"):
        opus("publish", "count")
    opus("publish", "count", "--author", "bob@elsewhere")
    assert opus.catalogue.published("count").definition.version == "b"


def test_publish_without_a_draft_takes_back_a_withdrawal_and_nothing_else(opus, capsys):
    opus.catalogue.publish(COUNT, "ada")
    with pytest.raises(NotFound, match="there is no draft of count"):
        opus("publish", "count")
    opus("withdraw", "count")
    assert opus.catalogue.is_withdrawn("count")
    opus("list")
    assert "count  version 1, withdrawn" in capsys.readouterr().out
    opus("publish", "count")
    assert opus.catalogue.published("count").ref.number == 1


def test_the_list_says_what_is_there_for_people_and_for_scripts(opus, capsys):
    opus("list")
    assert "there are no job descriptions" in capsys.readouterr().out
    opus.catalogue.publish(COUNT, "ada")
    opus.catalogue.save_draft(COUNT, "ada")
    opus("list")
    assert "count  version 1\ncount  draft of ada" in capsys.readouterr().out
    opus("list", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["published"] == [{"name": "count", "number": 1, "withdrawn": False}]
    assert found["drafts"][0]["author"] == "ada"


def test_what_is_exported_can_be_imported_again(opus, tmp_path, capsys):
    opus.catalogue.publish(COUNT, "ada")
    opus.catalogue.publish(replace(COUNT, version="2"), "ada")
    out = tmp_path / "out.new"
    opus("export", "count", "--format", "new", "-o", out)
    assert capsys.readouterr().out.split() == [str(out), f"{out}.script"]
    opus("import", out, "--script", f"{out}.script", "--name", "again", "--publish")
    again = opus.catalogue.published("again").definition
    assert again == replace(COUNT, name="again", version="2")


def test_an_earlier_version_is_exported_by_its_number(opus, capsys):
    opus.catalogue.publish(COUNT, "ada")
    opus.catalogue.publish(replace(COUNT, version="2"), "ada")
    opus("export", "count@1")
    printed = capsys.readouterr()
    assert printed.out.encode() == JSON.dumps(COUNT).data
    assert "script is a file of its own" in printed.err
    for wrong in ("count@3", "count@x", "count@"):
        with pytest.raises(NotFound, match="it has 1, 2"):
            opus("export", wrong)


def test_a_description_is_converted_and_what_is_lost_is_named(opus, tmp_path, capsys, monkeypatch):
    file, script = document(tmp_path)
    out = tmp_path / "new"
    assert opus("convert", file, "--script", script, "--to", NEW.name, "-o", out) == 0
    files = {"script": out.with_name("new.script").read_bytes()}
    assert NEW.loads(out.read_bytes(), files) == COUNT
    assert opus.catalogue.names() == []

    def cannot(definition, *, lossy=False):
        if not lossy:
            raise CannotCarry("it", ["script"])
        return Bundle(data=b"without")

    monkeypatch.setattr(NEW, "dumps", cannot)
    with pytest.raises(BadRequest, match="it cannot carry script; --lossy leaves that out"):
        opus("convert", file, "--to", NEW.name)
    capsys.readouterr()
    assert opus("convert", file, "--to", NEW.name, "--lossy") == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("without", "left out: script\n")
    with pytest.raises(NotFound):
        opus("convert", file, "--to", "nothing")
