"""Job description formats with one promise broken each."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType

import pytest

from core.saboteurs.finders import finders
from core.saboteurs.json_jdl import LARGEST, JsonJdl
from core.saboteurs.registry import breaks
from opus_core.definition import JobDefinition
from opus_core.errors import CannotCarry, ConfigError, JdlError
from opus_core.testing.jdl import JdlContract
from opus_core.testing.jdl_kit import PLAIN

NO_FILES = MappingProxyType({})


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
    "test_an_error_tells_the_line",
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


@breaks(
    JdlContract,
    "test_what_was_read_can_be_written_again",
    more="what cannot be written again is not carried either",
    says="what loads has read, dumps can write again; .*extensions",
)
class ReadsMoreThanItWrites(Saboteur):
    def loads(self, data, files=NO_FILES):
        return replace(super().loads(data, files), extensions={"json:read": "yes"})


@breaks(
    JdlContract,
    "test_one_description_gives_the_same_bytes_each_time",
    more="a test that damages what was written cannot repeat itself",
    says="one description gives different documents",
)
class NumbersItsDocuments(Saboteur):
    written = 0

    def dumps(self, definition, *, lossy=False):
        bundle = super().dumps(definition, lossy=lossy)
        self.written += 1
        return replace(bundle, data=bundle.data + b" " * (self.written % 7))


@breaks(
    JdlContract,
    "test_a_bundle_is_bytes_and_files_with_bare_names",
    more="what is not called script is no script when it is read",
    says="'files/script' is no bare file name",
)
class FilesInAFolder(Saboteur):
    def dumps(self, definition, *, lossy=False):
        bundle = super().dumps(definition, lossy=lossy)
        return replace(bundle, files={f"files/{name}": one for name, one in bundle.files.items()})


@breaks(JdlContract, "test_reading_and_writing_asks_nobody", says="it has fetched|never fetches")
class FollowsTheDoculink(Saboteur):
    def loads(self, data, files=NO_FILES):
        read = super().loads(data, files)
        if read.doculink.startswith("http://127"):
            call(read.doculink)
        return read


@breaks(
    JdlContract,
    "test_reading_and_writing_asks_nobody",
    says="has called .*/dev/null",
)
class LooksIntoAFileEachTime(Saboteur):
    def dumps(self, definition, *, lossy=False):
        with open("/dev/null"):
            return super().dumps(definition, lossy=lossy)


@breaks(
    JdlContract,
    "test_lossy_leaves_out_only_what_was_named",
    says="carried all the same, and CannotCarry said",
)
class NamesTooMuch(Saboteur):
    def dumps(self, definition, *, lossy=False):
        try:
            return super().dumps(definition, lossy=lossy)
        except CannotCarry as refusal:
            raise CannotCarry(self.name, [*refusal.fields, "version"]) from None


@breaks(JdlContract, "test_an_error_tells_the_line", says="says in which line it is: 0 of")
class ErrorsWithoutLine(Saboteur):
    def loads(self, data, files=NO_FILES):
        try:
            return super().loads(data, files)
        except JdlError as error:
            raise JdlError(error.sentence) from None


@breaks(
    JdlContract,
    "test_files_that_are_missing_are_no_fault",
    more="a document that is not read to its end is not looked at for files",
    says=r"errors of opus_core\.errors .*loads has raised KeyError",
)
class NeedsItsScript(Saboteur):
    def loads(self, data, files=NO_FILES):
        read = super().loads(data, files)
        return replace(read, script=files["script"].decode())


def call(url):
    """Ask for what a document names; nobody answers."""
    with suppress(OSError):
        urllib.request.urlopen(url, timeout=0.05).close()


Another, Unlisted, Long, Ever = finders(Saboteur, JdlContract, __name__)
