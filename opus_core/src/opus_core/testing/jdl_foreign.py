"""Promises of a `Jdl` about what is not its own, or no longer: said so, and never worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opus_core.backends import Jdl
from opus_core.definition import JobDefinition
from opus_core.errors import JdlError
from opus_core.testing.jdl_kit import FULL, PLAIN, JdlKit, read
from opus_core.testing.storage_kit import thorough

HEAD: Final = 4096  # [byte] that `recognises` is shown
MANY: Final = 50_000

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


class ForeignPromises(JdlKit):
    """A format knows its own, and whatever else it is given harms nobody."""

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

    def test_an_error_tells_the_line(self, jdl: Jdl) -> None:
        whole = jdl.dumps(FULL, lossy=True)
        half = whole.data[: len(whole.data) // 2]
        with pytest.raises(JdlError) as refusal:
            jdl.loads(half, whole.files)
        lines = len(half.splitlines()) + 1
        line = refusal.value.line
        assert 1 <= line <= lines, f"an error says in which line it is: {line} of {lines}"

    def test_files_that_are_missing_are_no_fault(self, jdl: Jdl) -> None:
        whole = jdl.dumps(FULL, lossy=True)
        try:
            definition = jdl.loads(whole.data)
        except JdlError as error:
            assert error.sentence.strip(), "the error says nothing"  # noqa: PT017
        else:
            assert replace(definition, script="") == replace(read(jdl, whole), script=""), (
                "without the files beside it a document describes another job"
            )

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
