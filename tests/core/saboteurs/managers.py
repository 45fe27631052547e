"""Managers with one promise broken each, of those that every back end makes."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.saboteurs.finders import finders
from core.saboteurs.process_manager import ProcessManager
from core.saboteurs.registry import breaks
from opus_core.errors import ConfigError
from opus_core.testing.manager_kit import ManagerKit


def fixtures(back_end):
    """How a test class makes instances of a saboteur, and breaks and spoils things for it."""

    @pytest.fixture
    def make(self, tmp_path):
        return lambda: back_end(back_end.Options(folder=tmp_path / "manager"))

    @pytest.fixture
    def unavailable(self, tmp_path):
        @contextmanager
        def down():
            (tmp_path / "manager" / "down").touch()
            yield
            (tmp_path / "manager" / "down").unlink()

        return down

    @pytest.fixture
    def unreachable(self, tmp_path):
        @contextmanager
        def lost():
            folders = tmp_path / back_end.folders
            folders.rename(tmp_path / "elsewhere")
            folders.symlink_to(folders.name)  # round and round
            yield
            folders.unlink()
            (tmp_path / "elsewhere").rename(folders)

        return lost

    @pytest.fixture
    def rejected(self, tmp_path):
        return lambda task: replace(task, folder=tmp_path / "nowhere")

    @pytest.fixture
    def restarted(self, tmp_path):
        return lambda: shutil.rmtree(tmp_path / "manager")

    @pytest.fixture
    def held(self):
        return lambda task: replace(task, options={"hold": "yes"})

    @pytest.fixture
    def crowded(self, tmp_path):
        @contextmanager
        def full():
            manager = back_end(back_end.Options(folder=tmp_path / "manager"))
            manager.options.folder.mkdir(exist_ok=True)
            manager.crowd().touch()
            yield
            manager.serve()

        return full

    @pytest.fixture
    def unfit(self, tmp_path):
        (tmp_path / "file").touch()
        return lambda: back_end(back_end.Options(folder=tmp_path / "file"))

    return {
        "make": make,
        "unfit": unfit,
        "unavailable": unavailable,
        "unreachable": unreachable,
        "rejected": rejected,
        "held": held,
        "crowded": crowded,
        "restarted": restarted,
    }


class Saboteur(ProcessManager):
    """Shorthands for what follows."""

    def change(self, found):
        """What `get_status` makes of the truth."""
        return found

    def get_status(self, refs):
        return {ref: self.change(one) for ref, one in super().get_status(refs).items()}


@breaks(ManagerKit, "test_its_name_is_lower_case_letters_digits_and_underscores")
class Misnamed(Saboteur):
    name = "Process manager"


@breaks(ManagerKit, "test_it_says_what_it_is_about_in_one_sentence")
class Wordless(Saboteur):
    about = " "


@dataclass
class ThawedOptions:
    folder: Path


@breaks(ManagerKit, "test_its_options_are_a_frozen_dataclass_of_plain_fields")
class Thawed(Saboteur):
    Options = ThawedOptions


@breaks(ManagerKit, "test_making_an_instance_opens_nothing")
class OpensAtOnce(Saboteur):
    def __init__(self, options):
        super().__init__(options)
        self.ends = os.pipe()

    def close(self):
        while self.ends:
            os.close(self.ends[-1])
            self.ends = self.ends[:-1]


@breaks(ManagerKit, "test_making_an_instance_asks_nobody", says="asks nobody, and it has called")
class AsksAtOnce(Saboteur):
    def __init__(self, options):
        super().__init__(options)
        subprocess.run(["true"], check=True)


@breaks(
    ManagerKit,
    "test_check_says_in_one_sentence_why_it_cannot_work_here",
    says=r"errors of opus_core\.errors .*check has raised FileExistsError",
)
class ChecksInItsOwnWords(Saboteur):
    def check(self):
        self.options.folder.mkdir(exist_ok=True)


@breaks(
    ManagerKit,
    "test_close_gives_back_what_was_opened",
    says="close has given back the threads",
)
class LeavesAThread(Saboteur):
    def __init__(self, options):
        super().__init__(options)
        self.closed = threading.Event()

    def check(self):
        super().check()
        threading.Thread(target=self.closed.wait, args=(60,), daemon=True).start()


@breaks(
    ManagerKit,
    "test_check_is_content_with_what_works",
    more="whoever looks at what close gives back has checked before",
)
class NeverContent(Saboteur):
    def check(self):
        raise ConfigError("this cannot work here")


@breaks(ManagerKit, "test_its_warnings_are_sentences")
class WarnsOfNothing(Saboteur):
    def warnings(self):
        return [" "]


@breaks(ManagerKit, "test_close_is_safe_twice")
class ClosesOnce(Saboteur):
    closed = False

    def close(self):
        if self.closed:
            raise ValueError("closed already")
        self.closed = True


Another, Unlisted, Long, Ever = finders(Saboteur, ManagerKit, __name__)
