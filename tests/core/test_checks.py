"""`opus check` as a whole: what is sound, what a broken part leaves to be looked at, its codes."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest

from core.helpers.checked import Checked, checked
from opus_core import checks
from opus_core.checks import folders, probe, security
from opus_core.commands import check as command
from opus_core.errors import BadRequest, Unavailable
from opus_core.finding import Code, Finding, State, ok


@pytest.fixture
def site(tmp_path, monkeypatch):
    with checked(tmp_path, monkeypatch) as one:
        yield one


def run(site: Checked, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path)
    command.add(parser.add_subparsers())
    return command.run(
        parser.parse_args(["--config", str(site.folder / "opus.toml"), "check", *arguments])
    )


def test_nothing_is_wrong_with_what_is_sound(site):
    site.begin()

    assert site.wrong() == {}
    subjects = {finding.subject for finding in site.findings()}
    assert {"configuration", "data_dir", "storage", "manager", "jdl", "clock"} <= subjects


def test_looking_makes_and_changes_nothing(site):
    def there():
        return {path: path.stat().st_mtime_ns for path in site.folder.rglob("*")}

    before = there()
    assert "data-folder-missing" in site.wrong()
    assert there() == before
    site.begin()
    before = {path: when for path, when in there().items() if not path.is_dir()}
    site.findings()
    assert {path: when for path, when in there().items() if not path.is_dir()} == before


def test_what_is_not_there_yet_is_tried_elsewhere(site):
    found = site.findings()

    assert {one.code for one in found if one.state is not State.OK} == {"data-folder-missing"}
    assert {"storage", "manager", "jdl"} <= {one.subject for one in found}
    assert not site.data.exists()


def test_each_table_that_is_mistaken_is_told_and_the_others_are_looked_at(site):
    site.begin()
    site.configure(
        "debug = 7",
        jobs="folders = '/nowhere'",
        supervisor="grace = -1",
        storage=f"use = 'memory'\nuniverse = '{site.universe}'",
    )

    found = site.findings()

    mistakes = [one.sentence for one in found if one.code == "configuration-mistake"]
    assert len(mistakes) == 3
    for words in ("debug must be true or false", "did you mean folder", "[supervisor]"):
        assert any(words in sentence for sentence in mistakes), mistakes
    assert {"storage", "manager", "definitions"} <= {
        one.subject for one in found if one.state is State.OK
    }


def test_a_table_that_is_mistaken_is_not_taken_for_the_default(site):
    site.begin()
    site.configure(storage="use = 7", manager="use = 8")

    found = site.findings()

    assert not {"storage", "manager"} & {one.subject for one in found}


@pytest.mark.parametrize(
    ("part", "code"),
    [("storage", "storage-unusable"), ("manager", "manager-unusable"), ("jdl", "format-unusable")],
)
def test_a_part_that_is_broken_hides_no_other(site, part, code):
    site.begin()
    site.configure(**{part: "use = 'nothing'"})

    found = site.findings()

    assert [one.subject for one in found if one.code == code] == [part]
    well = {one.subject for one in found if one.state is State.OK}
    assert {"storage", "manager", "jdl"} - {part} <= well


def test_an_area_that_cannot_be_looked_at_to_its_end_stops_no_other(site, monkeypatch):
    site.begin()
    storage = site.storage()

    def lost(installation):
        yield ok("first", "was seen")
        raise Unavailable("the storage is gone; bring it back")

    def odd(installation):
        raise RuntimeError("odd")
        yield

    monkeypatch.setattr(checks, "_LOOKS", (lost, odd, *checks._LOOKS))
    found = site.findings()
    storage.close()

    sentences = [one.sentence for one in found if one.code == "check-unfinished"]
    assert sentences[0] == "the storage is gone; bring it back"
    assert "RuntimeError: odd" in sentences[1]
    assert "storage" in {one.subject for one in found}


def test_every_code_has_one_name_and_says_what_it_is_and_what_to_do():
    listed = list(checks.codes())

    assert len(listed) >= 50
    names = [code.name for code in listed]
    assert sorted(set(names)) == sorted(names)
    for code in listed:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", code.name), code.name
        assert code.state in (State.ERROR, State.WARNING)
        for text in (code.cause, code.way_out):
            assert re.fullmatch(r"[A-Z0-9`\[].*\.", text), f"{code.name}: {text}"
            assert "|" not in text


def test_every_code_of_the_core_is_made_to_be_found_by_a_test():
    """This file and its neighbours name each, and so does what runs the command itself."""
    tests = Path(__file__).parents[1]
    places = [*tests.glob("core/test_checks*.py"), tests / "system" / "test_check.py"]
    places += [tests / "security" / "test_check.py"]
    texts = "".join(file.read_text() for file in places)
    assert [code.name for code in checks.codes() if f'"{code.name}"' not in texts] == []


# -- the command


def test_the_exit_code_is_1_for_an_error_and_for_a_warning_if_that_is_asked_for(site, capsys):
    site.begin()
    assert run(site) == 0
    assert run(site, "--strict") == 1  # no supervisor runs
    (site.data / "secret").chmod(0o644)
    assert run(site) == 1
    capsys.readouterr()


def test_quiet_says_what_is_wrong_alone(site, capsys):
    site.begin()

    assert run(site, "--quiet") == 0

    [line] = capsys.readouterr().out.splitlines()
    assert line == (
        "warning  supervisor: no supervisor is running; start `opus supervise` [supervisor-missing]"
    )


def test_a_document_for_programs(site, capsys):
    site.begin()

    assert run(site, "--json") == 0

    found = json.loads(capsys.readouterr().out)
    assert found["configuration"] == str(site.folder / "opus.toml")
    assert (found["errors"], found["warnings"]) == (0, 1)
    assert {"version", "host", "time"} <= found.keys()
    assert found["findings"][0] == {
        "code": "ok",
        "state": "ok",
        "subject": "configuration",
        "sentence": str(site.folder / "opus.toml"),
    }
    assert run(site, "--json", "--quiet") == 0
    [finding] = json.loads(capsys.readouterr().out)["findings"]
    assert finding["code"] == "supervisor-missing"


def test_the_list_has_every_code_and_looks_at_nothing(site, capsys):
    (site.folder / "opus.toml").write_text("[nonsense")

    assert run(site, "--list") == 0

    lines = capsys.readouterr().out.splitlines()
    listed = {line.split()[0] for line in lines[1:]}
    assert {code.name for code in checks.codes()} <= listed
    assert run(site, "--list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0].keys() == {"code", "state", "cause", "way_out"}


def test_a_user_that_there_is_not_is_a_mistake_of_who_calls(site):
    with pytest.raises(BadRequest, match="--as nobody-here: there is no such user"):
        run(site, "--as", "nobody-here")


def test_a_line_has_nothing_in_it_that_would_control_a_terminal():
    told = command.line(Finding("x-y", State.ERROR, "plugin", "says \x1b[2J"))

    assert told == "error    plugin: says \N{REPLACEMENT CHARACTER}[2J [x-y]"


# -- what --probe and --security add


def test_a_probe_makes_what_a_first_start_makes_and_says_how_far_it_came(site):
    found = site.findings(probe.findings, probes=True)

    assert [one.state for one in found if one.subject == "probe"] == [State.OK] * 3
    assert (site.data / "instance").exists()
    assert list((site.data / "jobs").glob("*/*")) == []


def test_a_probe_that_cannot_be_sent_says_so(site):
    site.configure(manager="use = 'nothing'")

    assert "mend that first" in site.one("probe-failed", probe.findings, probes=True).sentence


def test_an_auditors_questions_need_no_part_that_is_broken(site):
    site.begin()
    site.configure(storage="use = 'nothing'", jdl="use = 'nothing'")

    found = {one.subject for one in site.findings(security.findings)}

    assert {"https", "anonymous", "limits", "user"} <= found


def test_codes_of_plugins_are_listed(site):
    site.install(
        "coded",
        """
from opus_core import hookimpl
from opus_core.extensions import Extension
from opus_core.finding import Code, State

class Tide(Extension):
    name = "tide"
    about = "tides"
    codes = (Code("tide-high", State.WARNING, "The tide is high.", "Wait."),)

    @hookimpl
    def opus_observers(self):
        return {}

    def findings(self):
        yield self.codes[0]("sea", "the tide is high; wait")

@hookimpl
def opus_register_extension():
    return Tide
""",
    )
    site.begin()

    assert site.one("tide-high").sentence == "the tide is high; wait"
    listed = [code.name for code in checks.all_codes(checks.Registry.installed())]
    assert "tide-high" in listed
    assert isinstance(folders.MISSING, Code)
