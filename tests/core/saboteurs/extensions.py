"""Small extensions: the references that the saboteurs of their contracts break."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path

from core.saboteurs.finders import finders
from core.saboteurs.registry import breaks
from opus_core import hookimpl
from opus_core.backends import User
from opus_core.errors import ConfigError, NotAuthenticated, Unavailable
from opus_core.extensions import Extension
from opus_core.job import Phase


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    file: Path


class Seal(Extension):
    """Knows who shows `Seal NAME HMAC`, by a key in a file."""

    name = "seal"
    about = "knows users by a seal under their name"
    Options = FileOptions

    def check(self):
        if not self.options.file.is_file():
            raise ConfigError(f"there is no key in {self.options.file.name}; write one into it")

    def key(self):
        try:
            return self.options.file.read_bytes()
        except OSError as error:
            raise Unavailable(f"the key cannot be read: {error.strerror}") from error

    @classmethod
    def credentials(cls, key, name):
        digest = hmac.new(key, name.encode(), hashlib.sha256).hexdigest()
        return {"authorization": f"Seal {name} {digest}"}

    @hookimpl
    def opus_authenticate(self, request):
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        if scheme != "Seal":
            return None
        name, _, shown = rest.partition(" ")
        digest = hmac.new(self.key(), name.encode(), hashlib.sha256).hexdigest()
        if not name.isprintable() or not hmac.compare_digest(digest.encode(), shown.encode()):
            raise NotAuthenticated("this seal is not ours; have your name sealed again")
        return self.user(name)

    def user(self, name):
        return User(name=name, scopes=frozenset({"read"}))


class Diary(Extension):
    """Writes each change into a file, once."""

    name = "diary"
    about = "writes down what becomes of jobs"
    Options = FileOptions

    def check(self):
        if not self.options.file.parent.is_dir():
            raise ConfigError(f"there is no folder {self.options.file.parent}; make it")

    @hookimpl
    def opus_job_phase_changed(self, change):
        self.write(change)

    def write(self, change):
        try:
            with self.options.file.open("a") as file:
                print(change.job_id, change.new or "deleted", file=file)
        except OSError as error:
            raise Unavailable(f"the diary cannot be written: {error.strerror}") from error


def read(file):
    """What is in a diary: (job id, new phase)."""
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [(job_id, None if new == "deleted" else Phase(new)) for job_id, new in lines]


def common(contract, saboteur):
    """By their names, those that break what every extension promises."""

    @breaks(contract, "test_its_name_is_lower_case_letters_digits_and_underscores")
    class Misnamed(saboteur):
        name = "The One"

    @breaks(contract, "test_it_says_what_it_is_about_in_one_sentence")
    class Wordless(saboteur):
        about = "One line\nand another"

    @breaks(
        contract,
        "test_its_options_are_a_frozen_dataclass_of_plain_fields",
    )
    class Optionless(saboteur):
        Options = dict

    @breaks(
        contract,
        "test_making_an_instance_opens_nothing",
        "test_making_an_instance_asks_nobody",
    )
    class OpensAtOnce(saboteur):
        def __init__(self, options):
            super().__init__(options)
            self.kept = open("/dev/null")

        def close(self):
            self.kept.close()

    @breaks(contract, "test_check_is_content_with_what_works", more="nothing is opened")
    class NeverContent(saboteur):
        def check(self):
            raise Unavailable("never")

    @breaks(
        contract,
        "test_check_says_in_one_sentence_why_it_cannot_work_here",
        says="DID NOT RAISE",
    )
    class AlwaysContent(saboteur):
        def check(self):
            pass

    @breaks(contract, "test_close_gives_back_what_was_opened")
    class LeavesOpen(saboteur):
        def open(self, site):
            self.kept = open("/dev/null")

    @breaks(contract, "test_its_warnings_are_sentences")
    class WarnsInOneText(saboteur):
        def warnings(self):
            return "all is lost"

    @breaks(contract, "test_close_is_safe_twice")
    class ClosesOnce(saboteur):
        closed = False

        def close(self):
            if self.closed:
                raise RuntimeError("closed already")
            self.closed = True

    found = (
        Misnamed,
        Wordless,
        Optionless,
        OpensAtOnce,
        NeverContent,
        AlwaysContent,
        LeavesOpen,
        WarnsInOneText,
        ClosesOnce,
        *finders(saboteur, contract, saboteur.__module__),
    )
    for one in found:
        one.__module__ = saboteur.__module__  # by which a saboteur is found
    return {one.__name__: one for one in found}
