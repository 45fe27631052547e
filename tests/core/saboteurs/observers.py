"""Extensions that hear of changes, with one promise broken each."""

from __future__ import annotations

import uuid
from contextlib import contextmanager

import pytest

from core.saboteurs.extensions import Diary, FileOptions, common, read
from core.saboteurs.registry import breaks
from opus_core import hookimpl
from opus_core.errors import Unavailable
from opus_core.testing import ObserverContract


def fixtures(back_end):
    """How a test class makes instances of a saboteur."""

    @pytest.fixture
    def make(self, tmp_path):
        return lambda: back_end(FileOptions(file=tmp_path / "diary"))

    @pytest.fixture
    def heard(self, tmp_path):
        return lambda: read(tmp_path / "diary")

    @pytest.fixture
    def unavailable(self, tmp_path):
        return lambda: occupied(tmp_path / "diary")

    @pytest.fixture
    def unfit(self, tmp_path):
        return lambda: back_end(FileOptions(file=tmp_path / "nowhere" / "diary"))

    return {"make": make, "heard": heard, "unavailable": unavailable, "unfit": unfit}


@contextmanager
def occupied(file):
    """A context in which a folder is in the place of the file."""
    file.mkdir()
    try:
        yield
    finally:
        file.rmdir()


class Saboteur(Diary):
    """A diary, but for one thing."""


globals().update(common(ObserverContract, Saboteur))


@breaks(ObserverContract, "test_it_has_observers_of_the_same_names_in_every_process")
class OfAnotherName(Saboteur):
    def __init__(self, options):
        super().__init__(options)
        self.mine = uuid.uuid4().hex

    @hookimpl
    def opus_observers(self):
        return {self.mine: lambda change: None}


@breaks(
    ObserverContract,
    "test_a_whole_life_is_told_in_order",
    more="each test that looks at a life sees it",
)
class HearsNoDeletion(Saboteur):
    def write(self, change):
        if change.new is not None:
            super().write(change)


@breaks(
    ObserverContract,
    "test_lives_of_several_jobs_are_told_apart",
    says=r"heard\(\) is \[.* for this job and in this order",
)
class FollowsOneJob(Saboteur):
    job = None

    def write(self, change):
        self.job = self.job or change.job_id
        if change.job_id == self.job:
            super().write(change)


@breaks(
    ObserverContract,
    "test_a_change_that_comes_again_is_no_error",
    "test_what_cannot_be_told_is_unavailable_and_told_later",
)
class WantsEachOnce(Saboteur):
    newest = None

    def write(self, change):
        if change == self.newest:
            raise RuntimeError("told already")
        self.newest = change
        super().write(change)


@breaks(
    ObserverContract,
    "test_a_job_that_is_gone_by_now_is_no_error",
    "test_nothing_that_may_happen_to_a_job_is_an_error",
)
class LooksForTheJob(Saboteur):
    def open(self, site):
        self.storage = site.storage

    def write(self, change):
        self.storage.read(change.job_id, doomed=True)
        super().write(change)


@breaks(ObserverContract, "test_another_instance_goes_on")
class EndsWithItsProcess(Saboteur):
    def close(self):
        self.options.file.unlink(missing_ok=True)


@breaks(ObserverContract, "test_nothing_that_may_happen_to_a_job_is_an_error")
class StumblesOverNames(Saboteur):
    def write(self, change):
        str(change.run_id).encode("ascii")
        super().write(change)


@breaks(ObserverContract, "test_what_cannot_be_told_is_unavailable_and_told_later")
class Forgets(Saboteur):
    def write(self, change):
        try:
            super().write(change)
        except Unavailable:
            return
