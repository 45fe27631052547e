"""The contract of `Jdl`: every promise of its docstrings as a test."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from functools import partial
from typing import ClassVar, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opus_core.backends import Bundle, Jdl
from opus_core.definition import JobDefinition, Option, ParameterDescription, ParameterType
from opus_core.errors import CannotCarry, JdlError
from opus_core.testing.backend import BackendContract, Instances
from opus_core.testing.jdl_xml import XmlPromises
from opus_core.testing.storage_kit import thorough
from opus_core.testing.strategies import definitions, text
from opus_core.testing.timing import together

HEAD: Final = 4096  # [byte] that `recognises` is shown
MANY: Final = 50_000

PLAIN: Final = JobDefinition(name="periodogram", parameters=(ParameterDescription(name="longest"),))
FULL: Final = JobDefinition(
    name="periodogram",
    description='The strongest period\nof a <series> & "more"',
    parameters=(
        ParameterDescription(
            name="method",
            type=ParameterType.STRING,
            default="lomb",
            options=(Option(value="lomb", description="Lomb & Scargle"), Option(value="fft")),
        ),
        ParameterDescription(name="longest", type=ParameterType.DOUBLE, unit="a", minimum="1"),
    ),
    script='echo "$method" > out\n',
)

FOREIGN: Final[Mapping[str, bytes]] = {
    "nothing": b"",
    "white space": b" \n\t\n",
    "a JSON object": b'{"title": "spectrum", "values": [1, 2]}\n',
    "a JSON array": b"[]\n",
    "another XML": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>\n',
    "HTML": b"<!DOCTYPE html>\n<html><head><title>x</title></head></html>\n",
    "a bash script": b"#!/bin/bash\necho $text > $output\n",
    "a Python script": b"import sys\n\nprint(sys.argv)\n",
    "INI": b"[job]\nname = x\n",
    "PNG": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
    "zeros": bytes(600),
    "UTF-16": "\ufeff<?x".encode("utf-16-le"),
}


class JdlContract(XmlPromises, BackendContract[Jdl]):
    """Inherit it and say how an instance is made.

        class TestMyJdl(JdlContract):
            xml = True

            @pytest.fixture
            def make(self):
                return lambda: MyJdl(MyJdl.Options())

    `xml` says that the format is XML, so that what is dangerous in XML is tried.
    """

    too_large: ClassVar[int] = 64 * 2**20
    """A document of so many bytes has to be refused [byte]."""

    @pytest.fixture
    def instances(self, make: Callable[[], Jdl]) -> Iterator[Instances[Jdl]]:
        """Makes instances, and closes them."""
        opened = Instances(make, lambda jdl: None)
        yield opened
        opened.close()

    @pytest.fixture
    def jdl(self, instances: Instances[Jdl]) -> Jdl:
        """One instance."""
        return instances.open()

    def test_its_suffix_begins_with_a_dot(self, jdl: Jdl) -> None:
        assert re.fullmatch(r"\.[A-Za-z0-9][A-Za-z0-9.]*", jdl.suffix)

    def test_its_media_type_is_one(self, jdl: Jdl) -> None:
        assert re.fullmatch(r"[a-z]+/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]*", jdl.media_type)

    # -- the law

    def test_a_plain_description_is_carried(self, jdl: Jdl) -> None:
        assert _read(jdl, jdl.dumps(PLAIN)) == PLAIN

    @thorough
    @given(definition=definitions() | definitions(text(largest=8)))
    def test_what_dumps_accepts_comes_back_equal(self, jdl: Jdl, definition: JobDefinition) -> None:
        try:
            bundle = jdl.dumps(definition)
        except CannotCarry:
            return
        assert _read(jdl, bundle) == definition

    def test_what_one_instance_wrote_another_reads(
        self, jdl: Jdl, instances: Instances[Jdl]
    ) -> None:
        bundle = jdl.dumps(PLAIN)
        assert _read(instances.open(), bundle) == PLAIN

    def test_it_reads_and_writes_in_several_threads(self, jdl: Jdl) -> None:
        several = [replace(PLAIN, name=f"job{number}") for number in range(6)]

        def there_and_back(definition: JobDefinition) -> bool:
            return all(_read(jdl, jdl.dumps(definition)) == definition for _ in range(10))

        assert all(together(*(partial(there_and_back, one) for one in several)))

    # -- what it has no words for

    @thorough
    @given(definition=definitions() | definitions(text(largest=8)))
    def test_what_it_cannot_carry_is_named_by_field(
        self, jdl: Jdl, definition: JobDefinition
    ) -> None:
        legal = {field.name for field in fields(JobDefinition)}
        named = _named(jdl, replace(definition, extensions={"other:x": "y"}))
        assert named is None or (named and named <= legal), (
            "each of `fields` begins with a field of JobDefinition, as `parameters['x'].unit`"
        )

    @thorough
    @given(definition=definitions() | definitions(text(largest=8)))
    def test_lossy_leaves_out_only_what_was_named(
        self, jdl: Jdl, definition: JobDefinition
    ) -> None:
        definition = replace(definition, extensions={"other:x": "y"})
        named = _named(jdl, definition) or set()
        read = _read(jdl, jdl.dumps(definition, lossy=True))
        changed = {
            field.name
            for field in fields(JobDefinition)
            if getattr(read, field.name) != getattr(definition, field.name)
        }
        assert changed <= named, "changed, and CannotCarry did not say so"

    def test_lossy_loses_nothing_that_can_be_carried(self, jdl: Jdl) -> None:
        assert _read(jdl, jdl.dumps(PLAIN, lossy=True)) == PLAIN

    # -- what is whose

    def test_it_recognises_what_it_wrote(self, jdl: Jdl) -> None:
        assert jdl.recognises(jdl.dumps(PLAIN).data[:HEAD])
        long = replace(FULL, description="\N{TELESCOPE}" * HEAD)
        assert jdl.recognises(jdl.dumps(long, lossy=True).data[:HEAD]), "by its first 4 KiB"

    @pytest.mark.parametrize("what", FOREIGN)
    def test_it_does_not_recognise_what_is_not_its_own(self, jdl: Jdl, what: str) -> None:
        assert not jdl.recognises(FOREIGN[what])

    @thorough
    @given(head=st.binary(max_size=200))
    def test_recognises_answers_whatever_it_is_shown(self, jdl: Jdl, head: bytes) -> None:
        assert jdl.recognises(head) in (True, False)
        whole = jdl.dumps(FULL, lossy=True).data
        for cut in (len(head), len(whole) // 2):
            assert jdl.recognises(whole[:cut] + head) in (True, False)

    # -- what cannot be read

    @pytest.mark.parametrize("what", FOREIGN)
    def test_what_is_not_its_own_is_a_jdl_error(self, jdl: Jdl, what: str) -> None:
        with pytest.raises(JdlError) as refusal:
            jdl.loads(FOREIGN[what])
        assert refusal.value.sentence.strip(), "the error says nothing"

    def test_a_truncated_document_is_a_jdl_error(self, jdl: Jdl) -> None:
        whole = jdl.dumps(FULL, lossy=True)
        complete = len(whole.data.rstrip())
        for end in range(0, complete, max(1, complete // 97)):
            with pytest.raises(JdlError):
                jdl.loads(whole.data[:end], whole.files)

    @thorough
    @given(data=st.data())
    def test_a_damaged_document_is_read_or_a_jdl_error(self, jdl: Jdl, data: st.DataObject) -> None:
        whole = jdl.dumps(FULL, lossy=True)
        where = data.draw(st.integers(0, len(whole.data)), label="from")
        until = data.draw(st.integers(where, min(where + 20, len(whole.data))), label="to")
        junk = data.draw(
            st.binary(max_size=8)
            | st.sampled_from(
                [b"<", b">", b'"', b"&#0;", b"\0", b"\xff\xfe", b"1e999", b"-", b"null"]
            ),
            label="junk",
        )
        files = {
            name: data.draw(st.just(content) | st.binary(max_size=8), label=name)
            for name, content in whole.files.items()
        }
        damaged = whole.data[:where] + junk + whole.data[until:]
        try:
            read = jdl.loads(damaged, files)
        except JdlError as error:
            assert error.sentence.strip(), "the error says nothing"  # noqa: PT017
        else:
            assert isinstance(read, JobDefinition)

    def test_an_oversized_document_is_refused(self, jdl: Jdl) -> None:
        whole = jdl.dumps(PLAIN)
        with pytest.raises(JdlError):
            jdl.loads(whole.data + b"\n" * self.too_large, whole.files)

    @pytest.mark.parametrize(
        ("opening", "closing"),
        [(b"[", b"]"), (b'{"name":', b"}"), (b"<a>", b"</a>"), (b"(", b")"), (b"- ", b"")],
        ids=["arrays", "objects", "elements", "parentheses", "dashes"],
    )
    def test_deep_nesting_is_a_jdl_error(self, jdl: Jdl, opening: bytes, closing: bytes) -> None:
        with pytest.raises(JdlError):
            jdl.loads(opening * MANY + closing * MANY)


def _read(jdl: Jdl, bundle: Bundle) -> JobDefinition:
    return jdl.loads(bundle.data, bundle.files)


def _named(jdl: Jdl, definition: JobDefinition) -> set[str] | None:
    """The fields that cannot be carried, without what stands behind their names; None if all
    can."""
    try:
        jdl.dumps(definition)
    except CannotCarry as refusal:
        return {re.split(r"[.\[]", name)[0] for name in refusal.fields}
    return None
