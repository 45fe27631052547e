from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from json_jdl import JsonJdl, NewJdl
from opus_core.below import Below
from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    ParameterDescription,
    ParameterType,
)
from opus_core.definitions import Catalogue, State
from opus_core.errors import (
    BadRequest,
    CannotCarry,
    Conflict,
    JdlError,
    NotAllowed,
    NotFound,
    OpusError,
    PluginError,
    StorageFull,
    Unavailable,
    UnknownDefinition,
)
from opus_core.job import DefinitionRef

JSON, NEW = JsonJdl(None), NewJdl(None)
COUNT = JobDefinition(
    name="count",
    description="Counts events",
    parameters=(ParameterDescription(name="emin", type=ParameterType.DOUBLE, default="0.1"),),
    generated=(GeneratedDescription(name="counts", default="counts.csv"),),
    script="echo $emin > $counts\n",
)


def catalogue(folder, jdl=JSON, readers=(JSON, NEW)) -> Catalogue:
    return Catalogue(folder / "definitions", jdl, readers)


def files(folder):
    """Everything below a folder: a file written again, even with the same content, differs."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.is_file() and path.read_bytes())
        for path in folder.rglob("*")
    }


# -- publishing


def test_what_was_published_is_what_new_jobs_are_made_from(tmp_path):
    ref = catalogue(tmp_path).publish(COUNT, "ada")
    published = catalogue(tmp_path).published("count")
    assert ref == published.ref == DefinitionRef("count", 1)
    assert published.definition == COUNT


def test_a_version_stays_what_it_was_when_another_is_published(tmp_path):
    this = catalogue(tmp_path)
    first = this.publish(COUNT, "ada")
    second = this.publish(replace(COUNT, script="true\n"), "bob")
    assert this.published("count").ref == second == DefinitionRef("count", 2)
    for one in (this, catalogue(tmp_path)):
        assert one.read(first) == COUNT
        assert one.read(second).script == "true\n"
    assert [(one.ref, one.author, one.jdl) for one in this.versions("count")] == [
        (first, "ada", "json"),
        (second, "bob", "json"),
    ]


def test_publishing_the_same_again_writes_nothing(tmp_path):
    this = catalogue(tmp_path)
    ref = this.publish(COUNT, "ada")
    before = files(tmp_path)
    assert catalogue(tmp_path).publish(COUNT, "bob") == ref
    assert files(tmp_path) == before


def test_a_publication_elsewhere_is_seen_at_once(tmp_path):
    here, there = catalogue(tmp_path), catalogue(tmp_path)
    here.publish(COUNT, "ada")
    assert there.published("count").ref.number == 1
    here.publish(replace(COUNT, version="2"), "ada")
    assert there.published("count").definition.version == "2"


def test_the_hot_path_parses_a_version_once(tmp_path):
    class Counting(JsonJdl):
        parsed = 0

        def loads(self, data, files={}):  # noqa: B006
            Counting.parsed += 1
            return super().loads(data, files)

    catalogue(tmp_path).publish(COUNT, "ada")
    this = catalogue(tmp_path, Counting(None), ())
    assert {this.published("count").ref for _ in range(50)} == {DefinitionRef("count", 1)}
    assert Counting.parsed == 1


def test_what_cannot_run_is_not_published(tmp_path):
    this = catalogue(tmp_path)
    for wrong, sentence in (
        (replace(COUNT, script=" \r\n"), "no script"),
        (replace(COUNT, name="../count"), "cannot be the name of a job"),
        (replace(COUNT, parameters=(ParameterDescription(name="PATH"),)), "PATH"),
        (replace(COUNT, parameters=(ParameterDescription(name="a", minimum="1"),)), "no order"),
        (replace(COUNT, generated=(GeneratedDescription(name="a", default="../b"),)), "result"),
    ):
        with pytest.raises(BadRequest, match=sentence):
            this.publish(wrong, "ada")
    assert files(tmp_path) == {}


def test_a_script_gets_the_line_ends_of_unix(tmp_path):
    this = catalogue(tmp_path)
    ref = this.publish(replace(COUNT, script="echo a\r\necho b\rc\r\n"), "ada")
    assert this.read(ref).script == "echo a\necho b\rc\n"
    assert this.script_sha256(ref) == hashlib.sha256(b"echo a\necho b\rc\n").hexdigest()


def test_who_has_not_seen_the_last_version_is_told(tmp_path):
    this = catalogue(tmp_path)
    this.publish(COUNT, "ada", expected=0)
    other = replace(COUNT, version="2")
    with pytest.raises(Conflict, match="the last version of 'count' is 1 and not 0"):
        this.publish(other, "bob", expected=0)
    assert this.publish(other, "bob", expected=1).number == 2


def test_of_many_who_publish_at_once_each_number_has_one_author(tmp_path):
    outcomes = {}
    start = threading.Barrier(8)

    def race(which):
        mine = replace(COUNT, version=str(which))
        this = catalogue(tmp_path)
        start.wait()
        for _ in range(5):
            try:
                outcomes[which] = this.publish(mine, str(which))
                return
            except Conflict:
                continue

    threads = [threading.Thread(target=race, args=(which,)) for which in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    this = catalogue(tmp_path)
    assert len(set(outcomes.values())) == len(outcomes) > 0
    for which, ref in outcomes.items():
        assert this.read(ref).version == str(which)
    versions = this.versions("count")
    assert [one.ref.number for one in versions] == list(range(1, len(outcomes) + 1))
    assert this.published("count").ref == versions[-1].ref


def test_who_is_overtaken_between_looking_and_writing_is_told(tmp_path):
    class Overtaken(JsonJdl):
        """Bob publishes while Ada's catalogue reads the last version to compare it."""

        def loads(self, data, files={}):  # noqa: B006
            definition = super().loads(data, files)
            if definition == COUNT:
                bobs.publish(replace(COUNT, version="bob's"), "bob")
            return definition

    bobs = catalogue(tmp_path)
    bobs.publish(COUNT, "bob")
    adas = catalogue(tmp_path, Overtaken(None), ())
    with pytest.raises(Conflict, match="version 2 of 'count' was published by somebody else"):
        adas.publish(replace(COUNT, version="ada's"), "ada")
    assert bobs.published("count").definition.version == "bob's"
    assert sorted(os.listdir(tmp_path / "definitions/count/versions")) == ["1", "2"]


def test_a_publication_that_was_killed_half_way_is_completed_by_the_next(tmp_path):
    this = catalogue(tmp_path)
    this.publish(COUNT, "ada")
    this.publish(replace(COUNT, version="2"), "ada")
    (tmp_path / "definitions" / "count" / "published").write_text("1\n")
    assert this.publish(replace(COUNT, version="2"), "ada").number == 2
    assert this.published("count").ref.number == 2


@pytest.mark.parametrize("lost", ["1\n", None])
def test_who_is_told_of_a_newer_version_finds_it_published(tmp_path, lost):
    this = catalogue(tmp_path)
    this.publish(COUNT, "ada")
    this.publish(replace(COUNT, version="2"), "ada")
    pointer = tmp_path / "definitions" / "count" / "published"
    pointer.write_text(lost) if lost else pointer.unlink()
    with pytest.raises(Conflict):
        this.publish(replace(COUNT, version="3"), "bob", expected=1)
    assert this.published("count").ref.number == 2


def test_a_slow_publisher_does_not_turn_back_what_a_fast_one_published(tmp_path, monkeypatch):
    replace_file, bobs = Below.replace, catalogue(tmp_path)

    def slow(folder, name, data):
        """Bob publishes between Ada's making of a version and her pointing at it."""
        monkeypatch.undo()
        bobs.publish(replace(COUNT, version="2"), "bob")
        replace_file(folder, name, data)

    monkeypatch.setattr(Below, "replace", slow)
    assert catalogue(tmp_path).publish(COUNT, "ada").number == 1
    assert bobs.published("count").ref.number == 2


def test_a_folder_that_was_being_made_when_the_power_went_is_not_a_version(tmp_path):
    this = catalogue(tmp_path)
    this.publish(COUNT, "ada")
    (tmp_path / "definitions" / "count" / "versions" / ".2.0123").mkdir()
    assert len(this.versions("count")) == 1
    assert this.publish(replace(COUNT, version="2"), "ada").number == 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_publishes_nothing_and_leaves_nothing(tmp_path, monkeypatch, number):
    this = catalogue(tmp_path)
    this.publish(COUNT, "ada")
    before = files(tmp_path)

    def full(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull):
        this.publish(replace(COUNT, version="2"), "ada")
    with pytest.raises(StorageFull):
        this.withdraw("count")
    monkeypatch.undo()
    assert files(tmp_path) == before
    assert this.published("count").ref.number == 1


def test_what_is_written_is_for_user_and_group_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        catalogue(tmp_path).publish(COUNT, "ada")
        catalogue(tmp_path).save_draft(COUNT, "ada")
    finally:
        os.umask(before)
    for path in tmp_path.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode) & 0o777
        assert mode == (0o770 if path.is_dir() else 0o660), path


# -- withdrawing


def test_a_withdrawn_job_takes_no_new_ones_and_is_still_read(tmp_path):
    this = catalogue(tmp_path)
    ref = this.publish(COUNT, "ada")
    this.publish(replace(COUNT, name="other"), "ada")
    this.withdraw("count")
    this.withdraw("count")
    assert this.is_withdrawn("count")
    assert not this.is_withdrawn("other")
    with pytest.raises(NotAllowed, match="has been withdrawn"):
        this.published("count")
    assert this.names() == ["other"]
    assert this.states()[0] == State(name="count", number=1, withdrawn=True)
    assert catalogue(tmp_path).read(ref) == COUNT


def test_publishing_a_withdrawn_job_takes_it_back_under_its_number(tmp_path):
    this = catalogue(tmp_path)
    ref = this.publish(COUNT, "ada")
    this.withdraw("count")
    assert this.publish(COUNT, "ada") == ref
    assert this.published("count").ref == ref


# -- names


def test_an_unknown_name_is_answered_with_near_ones(tmp_path):
    this = catalogue(tmp_path)
    this.publish(COUNT, "ada")
    for ask in (this.published, this.is_withdrawn, this.withdraw, this.versions):
        with pytest.raises(UnknownDefinition, match=r"no job 'cuont' .* did you mean 'count'\?"):
            ask("cuont")
    with pytest.raises(UnknownDefinition):
        this.read(DefinitionRef("count", 2))


def test_an_empty_catalogue_is_no_error(tmp_path):
    this = catalogue(tmp_path)
    assert this.names() == this.states() == this.drafts() == []
    with pytest.raises(UnknownDefinition):
        this.published("count")
    assert files(tmp_path) == {}


HOSTILE = ["", ".", "..", "../x", "/etc", "a/b", "a\0b", ".x", "x" * 65, "-x", "é", "a\n", "$(id)"]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_becomes_a_path_unchecked(tmp_path, name):
    this = catalogue(tmp_path)
    for ask in (this.published, this.withdraw, lambda name: this.read(DefinitionRef(name, 1))):
        with pytest.raises(UnknownDefinition):
            ask(name)
    for ask in (
        lambda name: this.publish(replace(COUNT, name=name), "ada"),
        lambda name: this.save_draft(replace(COUNT, name=name), "ada"),
        lambda name: this.read_draft(name, "ada"),
        lambda name: this.load(JSON.dumps(COUNT).data, name=name),
    ):
        with pytest.raises(BadRequest, match="cannot be the name of a job"):
            ask(name)
    assert files(tmp_path) == {}


@pytest.mark.parametrize("name", ["availability", "capabilities"])
def test_a_name_that_the_server_answers_to_itself_is_refused_at_publishing(tmp_path, name):
    this = catalogue(tmp_path)
    with pytest.raises(BadRequest, match=f"a job cannot be called '{name}'"):
        this.publish(replace(COUNT, name=name), "ada")
    assert files(tmp_path) == {}


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    catalogue(tmp_path / "elsewhere").publish(COUNT, "ada")
    outside = tmp_path / "elsewhere" / "definitions" / "count"
    this = catalogue(tmp_path)
    this.publish(replace(COUNT, name="mine"), "ada")
    (tmp_path / "definitions" / "count").symlink_to(outside)
    with pytest.raises(UnknownDefinition):
        this.published("count")
    script = tmp_path / "definitions" / "mine" / "versions" / "1" / "script"
    script.rename(tmp_path / "script")
    script.symlink_to(tmp_path / "script")
    with pytest.raises(UnknownDefinition):
        catalogue(tmp_path).read(DefinitionRef("mine", 1))


def test_the_folder_itself_may_lie_behind_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "definitions").symlink_to(tmp_path / "real")
    catalogue(tmp_path).publish(COUNT, "ada")
    assert catalogue(tmp_path).names() == ["count"]


# -- damage


def test_a_version_changed_on_disk_is_not_run(tmp_path):
    this = catalogue(tmp_path)
    ref = this.publish(COUNT, "ada")
    (tmp_path / "definitions/count/versions/1/script").write_text("rm -rf $HOME\n")
    with pytest.raises(OpusError, match="restore them from a back-up") as caught:
        catalogue(tmp_path).read(ref)
    assert caught.value.status == 500


@pytest.mark.parametrize(
    "meta", ["", "[]", "{}", '{"files": {"../../x": "0"}}', "{", "null", '{"time": "x"}']
)
def test_a_damaged_meta_file_is_named(tmp_path, meta):
    this = catalogue(tmp_path)
    ref = this.publish(COUNT, "ada")
    (tmp_path / "definitions/count/versions/1/meta.json").write_text(meta)
    with pytest.raises(OpusError, match="files of 'count', 1, were changed"):
        catalogue(tmp_path).read(ref)


def test_one_damaged_name_does_not_hide_the_others(tmp_path, caplog):
    this = catalogue(tmp_path)
    this.publish(COUNT, "ada")
    this.publish(replace(COUNT, name="other"), "ada")
    (tmp_path / "definitions/count/published").write_text("one")
    assert this.names() == ["other"]
    assert {one.facts["definition"] for one in caplog.records} == {"count"}
    with pytest.raises(OpusError, match="definitions/count/published is damaged"):
        this.published("count")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("published", "one"),
        ("published", "9"),
        ("versions/1/script", ""),
        ("versions/1/meta.json", ""),
    ],
)
def test_what_is_damaged_is_not_offered(tmp_path, caplog, file, content):
    this = catalogue(tmp_path)
    for name in ("count", "other"):
        this.publish(replace(COUNT, name=name), "ada")
    (tmp_path / "definitions/count" / file).write_text(content)
    again = catalogue(tmp_path)
    assert [one.definition.name for one in again.offered()] == ["other"]
    assert [one.facts for one in caplog.records] == [{"definition": "count"}]
    assert "left out of the list" in caplog.text


def test_a_damaged_draft_does_not_hide_the_others(tmp_path, caplog):
    this = catalogue(tmp_path)
    for author in ("ada", "bob"):
        this.save_draft(COUNT, author)
    (tmp_path / "definitions/count/drafts/@ada/1/meta.json").write_text("")
    assert [draft.author for draft in this.drafts()] == ["bob"]
    assert [one.facts for one in caplog.records] == [{"definition": "count"}]
    assert "a draft is left out" in caplog.text


def test_a_folder_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "definitions").write_text("")
    this = catalogue(tmp_path)
    for ask in (this.states, this.drafts, lambda: this.published("count")):
        with pytest.raises(Unavailable, match="definitions cannot be read: Not a directory"):
            ask()
    with pytest.raises(Unavailable, match="definitions cannot be read: Not a directory"):
        this.publish(COUNT, "ada")


def test_a_version_in_a_format_no_longer_installed_says_so_and_can_be_replaced(tmp_path):
    ref = catalogue(tmp_path, NEW).publish(COUNT, "ada")
    this = catalogue(tmp_path, JSON, [JSON])
    with pytest.raises(PluginError, match="'new', which is not installed"):
        this.read(ref)
    assert this.publish(COUNT, "ada").number == 2


# -- formats


def test_versions_written_in_one_format_are_read_when_another_writes(tmp_path):
    ref = catalogue(tmp_path, NEW).publish(COUNT, "ada")
    this = catalogue(tmp_path, JSON)
    assert this.read(ref) == COUNT
    assert this.publish(COUNT, "ada") == ref


def test_a_document_in_any_installed_format_is_read(tmp_path):
    this = catalogue(tmp_path)
    for jdl in (JSON, NEW):
        bundle = jdl.dumps(COUNT)
        assert this.load(bundle.data, bundle.files) == COUNT
        assert this.load(bundle.data, name="other").name == "other"
    crlf = {"script": b"a\r\nb\r\n"}
    assert this.load(JSON.dumps(COUNT).data, crlf).script == "a\nb\n"
    assert this.load(JSON.dumps(COUNT).data).script == ""


def test_a_document_in_no_format_names_the_installed_ones(tmp_path):
    with pytest.raises(JdlError, match="there are: new, json"):
        catalogue(tmp_path, NEW).load(b"<xml/>")


def test_a_version_is_exported_as_it_is_stored_or_in_another_format(tmp_path):
    this = catalogue(tmp_path)
    ref = this.publish(COUNT, "ada")
    assert this.export(ref) == JSON.dumps(COUNT)
    assert this.export(ref, this.format("new")) == NEW.dumps(COUNT)
    with pytest.raises(NotFound, match="there are: json, new"):
        this.format("votable")


def test_what_a_format_cannot_carry_is_neither_exported_nor_published(tmp_path):
    contact = replace(COUNT, contact_name="A. Person")
    this = catalogue(tmp_path)
    ref = this.publish(contact, "ada")
    with pytest.raises(CannotCarry, match="contact_name"):
        this.export(ref, NEW)
    with pytest.raises(CannotCarry, match="contact_name"):
        catalogue(tmp_path / "new", NEW).publish(contact, "ada")
    assert not (tmp_path / "new").exists()


def test_a_format_that_forgets_something_does_not_get_to_write_it(tmp_path):
    class Forgetful(JsonJdl):
        def dumps(self, definition, *, lossy=False):
            return super().dumps(replace(definition, parameters=()))

    with pytest.raises(JdlError, match="does not give 'count' back as it is"):
        catalogue(tmp_path, Forgetful(None)).publish(COUNT, "ada")
    assert files(tmp_path) == {}


def test_a_format_does_not_get_to_write_elsewhere(tmp_path):
    class Wandering(JsonJdl):
        def dumps(self, definition, *, lossy=False):
            bundle = super().dumps(definition)
            return replace(bundle, files={**bundle.files, self.path: b""})

    for path in ("../x", "meta.json", "definition.json"):
        Wandering.path = path
        with pytest.raises(BadRequest):
            catalogue(tmp_path, Wandering(None)).publish(COUNT, "ada")
    assert files(tmp_path) == {}


# -- drafts


def test_a_draft_is_the_authors_own_and_publishes_nothing(tmp_path):
    this = catalogue(tmp_path)
    unfit = replace(COUNT, script="", parameters=(ParameterDescription(name="PATH"),))
    this.save_draft(unfit, "ada")
    this.save_draft(COUNT, "bob@example.org")
    assert this.read_draft("count", "ada") == unfit
    assert catalogue(tmp_path).read_draft("count", "bob@example.org") == COUNT
    assert [(one.name, one.author) for one in this.drafts()] == [
        ("count", "ada"),
        ("count", "bob@example.org"),
    ]
    assert this.names() == []
    with pytest.raises(NotFound, match="'eve' has no draft of 'count'"):
        this.read_draft("count", "eve")


def test_the_draft_saved_last_stands_and_the_others_are_gone(tmp_path):
    this = catalogue(tmp_path)
    for version in "123":
        this.save_draft(replace(COUNT, version=version), "ada")
    assert this.read_draft("count", "ada").version == "3"
    assert len(list((tmp_path / "definitions/count/drafts").glob("*/*"))) == 1


def test_a_draft_is_whole_while_it_is_being_saved(tmp_path):
    this = catalogue(tmp_path)
    this.save_draft(COUNT, "ada")
    done = threading.Event()
    seen = []

    def look():
        while not done.is_set():
            seen.append(this.read_draft("count", "ada"))
            assert len(this.drafts()) <= 1

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for version in range(30):
            this.save_draft(replace(COUNT, version=str(version), script=f"{version}\n"), "ada")
    finally:
        done.set()
        thread.join()
    assert seen
    assert all(one == COUNT or one.script == f"{one.version}\n" for one in seen)


def test_a_discarded_draft_is_gone(tmp_path):
    this = catalogue(tmp_path)
    this.discard_draft("count", "ada")
    this.save_draft(COUNT, "ada")
    this.discard_draft("count", "ada")
    assert this.drafts() == []
    with pytest.raises(NotFound):
        this.read_draft("count", "ada")


AUTHORS = st.text(max_size=300) | st.sampled_from(
    ["", ".", "..", "../ada", "a/b", "%2F", "a" * 151]
)


@settings(max_examples=40)
@given(st.lists(AUTHORS.filter(lambda one: one.isprintable()), unique=True, max_size=4))
def test_no_authors_name_leads_elsewhere_or_to_anothers_draft(tmp_path_factory, authors):
    folder = tmp_path_factory.mktemp("authors")
    this = catalogue(folder)
    for author in authors:
        this.save_draft(replace(COUNT, description=author), author)
    for author in authors:
        assert this.read_draft("count", author).description == author
    assert {one.author for one in this.drafts()} == set(authors)
    assert len(list(folder.iterdir())) <= 1


# -- examples


def example(folder, name, definition, document):
    (folder / name).mkdir(parents=True)
    bundle = JSON.dumps(definition)
    (folder / name / document).write_bytes(bundle.data)
    (folder / name / "script").write_bytes(bundle.files["script"])


def test_examples_are_published_once_and_never_over_what_is_there(tmp_path):
    examples = tmp_path / "examples"
    example(examples, "count", COUNT, "count.json")
    example(examples, "other", replace(COUNT, name="x"), "definition.json")
    (examples / "nothing").mkdir()
    (examples / "README").write_text("not an example")
    this = catalogue(tmp_path)
    mine = this.publish(replace(COUNT, version="mine"), "ada")
    assert this.install_examples(examples) == [DefinitionRef("other", 1)]
    assert this.install_examples(examples) == []
    assert this.published("count").ref == mine
    assert this.published("other").definition == replace(COUNT, name="other")


def test_a_withdrawn_example_does_not_come_back(tmp_path):
    example(tmp_path / "examples", "count", COUNT, "count.json")
    this = catalogue(tmp_path)
    this.install_examples(tmp_path / "examples")
    this.withdraw("count")
    assert this.install_examples(tmp_path / "examples") == []
    assert this.is_withdrawn("count")
