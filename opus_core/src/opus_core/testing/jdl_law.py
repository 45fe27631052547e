"""Promises of a `Jdl` about what it carries: all of it comes back, or it says what does not."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from functools import partial
from pathlib import PurePath

import pytest
from hypothesis import given

from opus_core.backends import Jdl
from opus_core.definition import JobDefinition, UsedDescription
from opus_core.errors import CannotCarry
from opus_core.testing.backend import Instances
from opus_core.testing.jdl_kit import FULL, PLAIN, JdlKit, Refuge, lost, read
from opus_core.testing.offline import offline
from opus_core.testing.storage_kit import thorough
from opus_core.testing.strategies import definitions, text
from opus_core.testing.timing import together


class LawPromises(JdlKit):
    """The law: what `dumps` accepts comes back equal, and nothing is lost in silence."""

    def test_its_suffix_begins_with_a_dot(self, jdl: Jdl) -> None:
        assert re.fullmatch(r"\.[A-Za-z0-9][A-Za-z0-9.]*", jdl.suffix)

    def test_its_media_type_is_one(self, jdl: Jdl) -> None:
        assert re.fullmatch(r"[a-z]+/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]*", jdl.media_type)

    # -- the law

    def test_a_plain_description_is_carried(self, jdl: Jdl) -> None:
        assert read(jdl, jdl.dumps(PLAIN)) == PLAIN

    @thorough
    @given(definition=definitions() | definitions(text(largest=8)))
    def test_what_dumps_accepts_comes_back_equal(self, jdl: Jdl, definition: JobDefinition) -> None:
        try:
            bundle = jdl.dumps(definition)
        except CannotCarry:
            return
        assert read(jdl, bundle) == definition

    def test_what_one_instance_wrote_another_reads(
        self, jdl: Jdl, instances: Instances[Jdl]
    ) -> None:
        bundle = jdl.dumps(PLAIN)
        assert read(instances.open(), bundle) == PLAIN

    @thorough
    @given(definition=definitions())
    def test_what_was_read_can_be_written_again(self, jdl: Jdl, definition: JobDefinition) -> None:
        first = jdl.dumps(definition, lossy=True)
        definition = read(jdl, first)
        try:
            again = jdl.dumps(definition)
        except CannotCarry as refusal:
            pytest.fail(f"what loads has read, dumps can write again; {refusal.sentence}")
        assert read(jdl, again) == definition, "written again it is another description"

    def test_one_description_gives_the_same_bytes_each_time(
        self, jdl: Jdl, instances: Instances[Jdl]
    ) -> None:
        first = jdl.dumps(FULL, lossy=True)
        for one in (jdl, instances.open()):
            again = one.dumps(replace(FULL), lossy=True)
            assert again.data == first.data, "one description gives different documents"
            assert dict(again.files) == dict(first.files), "... or different files"

    def test_a_bundle_is_bytes_and_files_with_bare_names(self, jdl: Jdl) -> None:
        bundle = jdl.dumps(FULL, lossy=True)
        assert isinstance(bundle.data, bytes), f"a document is bytes, not {type(bundle.data)}"
        for name, content in bundle.files.items():
            assert isinstance(content, bytes), f"the file {name!r} is not bytes"
            bare = name == PurePath(name).name and not name.startswith(".")
            assert bare, f"{name!r} is no bare file name, beside the document"

    def test_reading_and_writing_asks_nobody(self, jdl: Jdl, refuge: Refuge) -> None:
        named = replace(
            PLAIN,
            doculink=refuge.url,
            used=(UsedDescription(name="spectrum", url=f"{refuge.url}?$ID"),),
        )
        read(jdl, jdl.dumps(PLAIN, lossy=True))  # what is its own it may read at first use
        with offline("a format never fetches, and looks into no file"):
            for definition in (named, FULL):
                read(jdl, jdl.dumps(definition, lossy=True))
        assert not refuge.called(), "it has fetched what the description names"

    def test_it_reads_and_writes_in_several_threads(self, jdl: Jdl) -> None:
        several = [replace(PLAIN, name=f"job{number}") for number in range(6)]

        def there_and_back(definition: JobDefinition) -> bool:
            def once() -> bool:
                bundle = jdl.dumps(definition)
                return jdl.recognises(bundle.data) and read(jdl, bundle) == definition

            return all(once() for _ in range(10))

        assert all(together(*(partial(there_and_back, one) for one in several)))

    # -- what it has no words for

    @thorough
    @given(definition=definitions() | definitions(text(largest=8)))
    def test_what_it_cannot_carry_is_named_by_field(
        self, jdl: Jdl, definition: JobDefinition
    ) -> None:
        legal = {field.name for field in fields(JobDefinition)}
        said = lost(jdl, replace(definition, extensions={"other:x": "y"}))
        assert said is None or (said and said <= legal), (
            "each of `fields` begins with a field of JobDefinition, as `parameters['x'].unit`"
        )

    @thorough
    @given(definition=definitions() | definitions(text(largest=8)))
    def test_lossy_leaves_out_only_what_was_named(
        self, jdl: Jdl, definition: JobDefinition
    ) -> None:
        definition = replace(definition, extensions={"other:x": "y"})
        said = lost(jdl, definition) or set()
        carried = read(jdl, jdl.dumps(definition, lossy=True))
        changed = {
            field.name
            for field in fields(JobDefinition)
            if getattr(carried, field.name) != getattr(definition, field.name)
        }
        assert changed <= said, "changed, and CannotCarry did not say so"
        assert said <= changed, "carried all the same, and CannotCarry said that it cannot be"

    def test_lossy_loses_nothing_that_can_be_carried(self, jdl: Jdl) -> None:
        assert read(jdl, jdl.dumps(PLAIN, lossy=True)) == PLAIN
