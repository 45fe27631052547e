"""Job description formats with one promise broken each."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType

import pytest
from lxml import etree

from core.saboteurs.json_jdl import LARGEST, JsonJdl
from core.saboteurs.registry import breaks
from core.saboteurs.xml_jdl import XmlJdl
from opus_core.definition import JobDefinition
from opus_core.errors import CannotCarry, ConfigError, JdlError
from opus_core.testing.jdl import JdlContract
from opus_core.testing.jdl_kit import PLAIN

NO_FILES = MappingProxyType({})


class XmlContract(JdlContract):
    xml = True


def fixtures(back_end):
    """How a test class makes instances of a saboteur."""

    @pytest.fixture
    def make(self):
        return lambda: back_end(back_end.Options())

    @pytest.fixture
    def unfit(self):
        return lambda: back_end(back_end.Options(indent=-1))

    return {"make": make, "unfit": unfit, "too_large": 2 * LARGEST}


class Saboteur(JsonJdl):
    """JSON, but for one thing."""


class XmlSaboteur(XmlJdl):
    """XML, but for one thing."""


@breaks(JdlContract, "test_its_name_is_lower_case_letters_digits_and_underscores")
class Misnamed(Saboteur):
    name = "JSON"


@breaks(JdlContract, "test_it_says_what_it_is_about_in_one_sentence")
class Wordless(Saboteur):
    about = "One line\nand another"


@breaks(
    JdlContract,
    "test_its_options_are_a_frozen_dataclass_of_plain_fields",
    more="what its check looks at is not there",
)
class Optionless(Saboteur):
    Options = dict


@breaks(JdlContract, "test_making_an_instance_opens_nothing")
class OpensAtOnce(Saboteur):
    def __init__(self, options):
        super().__init__(options)
        self.ends = os.pipe()

    def close(self):
        while self.ends:
            os.close(self.ends[-1])
            self.ends = self.ends[:-1]


@breaks(JdlContract, "test_making_an_instance_asks_nobody", says="it has called .*'/dev/null'")
class LooksIntoAFile(Saboteur):
    def __init__(self, options):
        super().__init__(options)
        with open("/dev/null") as file:
            self.schema = file.read()


@breaks(
    JdlContract,
    "test_check_is_content_with_what_works",
    more="whoever looks at what close gives back has checked before",
)
class NeverContent(Saboteur):
    def check(self):
        raise ConfigError("this cannot work here")


@breaks(
    JdlContract, "test_check_says_in_one_sentence_why_it_cannot_work_here", says="DID NOT RAISE"
)
class AlwaysContent(Saboteur):
    def check(self):
        """Whatever the options are."""


@breaks(JdlContract, "test_close_gives_back_what_was_opened", says="close has given back")
class LeavesAFileOpen(Saboteur):
    def check(self):
        super().check()
        self.file = open("/dev/null")


@breaks(JdlContract, "test_its_warnings_are_sentences")
class WarnsInOneText(Saboteur):
    def warnings(self):
        return "one text in place of several"


@breaks(JdlContract, "test_close_is_safe_twice")
class ClosesOnce(Saboteur):
    closed = False

    def close(self):
        if self.closed:
            raise ValueError("closed already")
        self.closed = True


@breaks(JdlContract, "test_its_suffix_begins_with_a_dot")
class NoDot(Saboteur):
    suffix = "json"


@breaks(JdlContract, "test_its_media_type_is_one")
class NoMediaType(Saboteur):
    media_type = "json"


@breaks(
    JdlContract,
    "test_a_plain_description_is_carried",
    more="what is written is what most tests begin with",
)
class CarriesNothing(Saboteur):
    def lost(self, definition):
        return ["parameters"]


@breaks(
    JdlContract,
    "test_what_dumps_accepts_comes_back_equal",
    more="what is written with losses is read by the same hand",
)
class ReadsStripped(Saboteur):
    def loads(self, data, files=NO_FILES):
        read = super().loads(data, files)
        fields = ("doculink", "contact_name", "contact_email", "type", "subtype")
        return replace(read, **{name: getattr(read, name).strip() for name in fields})


@breaks(JdlContract, "test_what_one_instance_wrote_another_reads")
class ReadsItsOwnHand(Saboteur):
    def dumps(self, definition, *, lossy=False):
        self.wrote = True
        return super().dumps(definition, lossy=lossy)

    def loads(self, data, files=NO_FILES):
        read = super().loads(data, files)
        return read if hasattr(self, "wrote") else JobDefinition(name="another")


@breaks(JdlContract, "test_it_reads_and_writes_in_several_threads")
class OneAtATime(Saboteur):
    busy = 0

    def dumps(self, definition, *, lossy=False):
        self.busy += 1
        try:
            time.sleep(0.0005)  # another thread's turn
            if self.busy > 1:
                raise RuntimeError("busy")
            return super().dumps(definition, lossy=lossy)
        finally:
            self.busy -= 1


@breaks(
    JdlContract,
    "test_what_it_cannot_carry_is_named_by_field",
    "test_lossy_leaves_out_only_what_was_named",  # nor can it be found to have been named
)
class NamesInItsOwnWords(Saboteur):
    def dumps(self, definition, *, lossy=False):
        try:
            return super().dumps(definition, lossy=lossy)
        except CannotCarry:
            raise CannotCarry(self.name, ["the extensions"]) from None


@breaks(JdlContract, "test_lossy_leaves_out_only_what_was_named")
class LosesMoreThanItSays(Saboteur):
    def dumps(self, definition, *, lossy=False):
        if lossy and definition.extensions:
            definition = replace(definition, options={}, contact_email="", doculink="")
        return super().dumps(definition, lossy=lossy)


@breaks(JdlContract, "test_lossy_loses_nothing_that_can_be_carried")
class LossyLosesParameters(Saboteur):
    def dumps(self, definition, *, lossy=False):
        if lossy and definition == PLAIN:
            definition = replace(definition, parameters=())
        return super().dumps(definition, lossy=lossy)


@breaks(JdlContract, "test_it_recognises_what_it_wrote")
class RecognisesTheEnd(Saboteur):
    def recognises(self, head):
        return super().recognises(head) and head.endswith(b"}")


@breaks(JdlContract, "test_it_does_not_recognise_what_is_not_its_own")
class RecognisesAnyObject(Saboteur):
    def recognises(self, head):
        return head.startswith(b"{")


@breaks(
    JdlContract,
    "test_recognises_answers_whatever_it_is_shown",
    "test_it_does_not_recognise_what_is_not_its_own",
    "test_it_recognises_what_it_wrote",
)
class RecognisesWholeDocuments(Saboteur):
    def recognises(self, head):
        return json.loads(head).get("format") is not None


@breaks(JdlContract, "test_recognises_answers_whatever_it_is_shown")
class RecognisesText(Saboteur):
    def recognises(self, head):
        if head.startswith(b'{"format'):
            head.decode()
        return super().recognises(head)


@breaks(JdlContract, "test_what_is_not_its_own_is_a_jdl_error")
class ReadsAnyObject(Saboteur):
    def loads(self, data, files=NO_FILES):
        if data.startswith(b'{"title'):
            return JobDefinition(name="anything")
        return super().loads(data, files)


@breaks(JdlContract, "test_a_truncated_document_is_a_jdl_error")
class ReadsTheRest(Saboteur):
    def loads(self, data, files=NO_FILES):
        try:
            return super().loads(data, files)
        except JdlError:
            if b'"generated"' not in data or len(data) > LARGEST:
                raise
            return JobDefinition(name="periodogram")


@breaks(
    JdlContract,
    "test_a_damaged_document_is_read_or_a_jdl_error",
    "test_a_truncated_document_is_a_jdl_error",
)
class TrustsItsOwn(Saboteur):
    def loads(self, data, files=NO_FILES):
        if data.startswith(b'{"format') and len(data) < LARGEST:
            json.loads(data)
        return super().loads(data, files)


@breaks(JdlContract, "test_an_oversized_document_is_refused")
class Unbounded(Saboteur):
    def loads(self, data, files=NO_FILES):
        return super().loads(data.rstrip(), files)


@breaks(JdlContract, "test_deep_nesting_is_a_jdl_error")
class RecursesWithoutEnd(Saboteur):
    def loads(self, data, files=NO_FILES):
        try:
            return super().loads(data, files)
        except JdlError as error:
            if "Recursion" in error.sentence:
                raise RecursionError from None
            raise


# --- XML ---


@breaks(XmlContract, "test_a_doctype_is_refused_with_its_line")
class DoctypeSomewhere(XmlSaboteur):
    def refuse(self, root):
        if root.getroottree().docinfo.doctype:
            raise JdlError("a DOCTYPE is refused")


class Entities(XmlSaboteur):
    """Takes a DOCTYPE, and replaces entities that one allows."""

    wanted = rb"$^"

    def loads(self, data, files=NO_FILES):
        if re.search(self.wanted, data) is None:
            return super().loads(data, files)
        parser = etree.XMLParser(resolve_entities=True, load_dtd=True, huge_tree=True)
        root = etree.fromstring(data, parser)
        return JobDefinition(name="periodogram", description=(root.text or "")[:100])


@breaks(XmlContract, "test_an_entity_is_refused")
class ReplacesEntities(Entities):
    wanted = rb'ENTITY boom "'


@breaks(XmlContract, "test_an_entity_of_entities_is_refused")
class LaughsALot(Entities):
    wanted = rb"ENTITY l1 "

    def loads(self, data, files=NO_FILES):
        return super().loads(re.sub(rb"&l9;", b"&l2;", data), files)


@breaks(XmlContract, "test_an_entity_that_nobody_declared_is_refused")
class OverlooksEntities(XmlSaboteur):
    def loads(self, data, files=NO_FILES):
        if b"DOCTYPE" not in data:
            data = data.replace(b"&boom;", b"")
        return super().loads(data, files)


@breaks(XmlContract, "test_a_file_named_by_an_entity_is_not_read")
class ReadsFiles(Entities):
    wanted = rb"SYSTEM \"file:"


@breaks(XmlContract, "test_an_external_reference_is_refused_and_not_fetched")
class Fetches(XmlSaboteur):
    def loads(self, data, files=NO_FILES):
        named = re.search(rb'"(http://127[^"]*)"', data)
        if named and b"stylesheet" not in data:
            call(named[1].decode())
        return super().loads(data, files)


@breaks(XmlContract, "test_nothing_is_included_or_fetched")
class Includes(XmlSaboteur):
    def loads(self, data, files=NO_FILES):
        secret = re.search(rb'href="(file:[^"]*)"', data)
        if secret:
            with urllib.request.urlopen(secret[1].decode()) as file:
                return JobDefinition(name="x", description=file.read().decode())
        return super().loads(data, files)


@breaks(XmlContract, "test_an_error_in_the_xml_has_its_line")
class ErrorsAreNowhere(XmlSaboteur):
    def loads(self, data, files=NO_FILES):
        try:
            return super().loads(data, files)
        except JdlError as error:
            line = error.line if b"DOCTYPE" in data else 0
            raise JdlError("this is not XML", line=line) from None


@breaks(XmlContract, "test_elements_nested_deeply_are_refused")
class IgnoresElements(XmlSaboteur):
    def loads(self, data, files=NO_FILES):
        if data.count(b"<a>") > 10 and b"<job>" in data:
            data = re.sub(rb"</?a>", b"", data)
        return super().loads(data, files)


def call(url):
    """Ask for what a document names; nobody answers."""
    with suppress(OSError):
        urllib.request.urlopen(url, timeout=0.05).close()
