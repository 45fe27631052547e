"""Storages with one promise broken each, about single jobs and what all back ends promise."""

from __future__ import annotations

import os
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from core.saboteurs.finders import finders
from core.saboteurs.registry import breaks
from opus_core.backends import SUPERVISOR
from opus_core.errors import (
    ConfigError,
    Conflict,
    JobExists,
    NotFound,
    StorageFull,
    Unavailable,
    UnknownJob,
)
from opus_core.job import Watch
from opus_core.testing.memory import MemoryStorage
from opus_core.testing.storage_jobs import JobPromises
from opus_core.testing.storage_records import RecordPromises

MOMENT = 0.004  # [s] in which somebody else comes between; long against a thread's switch


def fixtures(back_end):
    """How a test class makes instances of a saboteur."""

    @pytest.fixture
    def make(self):
        universe = uuid.uuid4().hex
        yield lambda: back_end(back_end.Options(universe=universe))
        MemoryStorage.forget(universe)

    @pytest.fixture
    def pass_time(self, make):
        return make().pass_time

    @pytest.fixture
    def make_newer(self, make):
        return make().make_newer

    @pytest.fixture
    def full(self, make):
        return lambda: make().failing(StorageFull("no space is left"))

    @pytest.fixture
    def unavailable(self, make):
        return lambda: make().failing(Unavailable("the memory is elsewhere"))

    @pytest.fixture
    def unfit(self):
        return lambda: back_end(back_end.Options(universe=" "))

    return {
        "make": make,
        "unfit": unfit,
        "pass_time": pass_time,
        "make_newer": make_newer,
        "full": full,
        "unavailable": unavailable,
    }


class Saboteur(MemoryStorage):
    """Shorthands for what follows."""

    def stored(self, job_id):
        row = self.universe.rows.get(job_id)
        return row.job if row else None

    def put(self, job):
        """Change what is stored behind everybody's back."""
        self.universe.rows[job.id].job = job
        return job

    def write(self, job, old, new):
        """An entry in the journal that nobody asked for."""
        with self.universe.changed:
            self._journal(job, old, new)

    @contextmanager
    def pretending(self, change):
        """Show other jobs than those stored, for as long as it lasts; None: none."""
        with self.universe.changed:
            kept = self.universe.rows
            shown = {key: replace(row, job=change(row.job)) for key, row in kept.items()}
            self.universe.rows = {key: row for key, row in shown.items() if row.job}
            try:
                yield
            finally:
                self.universe.rows = kept


# --- what every back end promises ---


@breaks(RecordPromises, "test_its_name_is_lower_case_letters_digits_and_underscores")
class Misnamed(Saboteur):
    name: ClassVar[str] = "Memory storage!"


@breaks(RecordPromises, "test_it_says_what_it_is_about_in_one_sentence")
class Wordless(Saboteur):
    about: ClassVar[str] = ""


@dataclass
class ThawedOptions:
    universe: str = "main"


@breaks(RecordPromises, "test_its_options_are_a_frozen_dataclass_of_plain_fields")
class Thawed(Saboteur):
    Options = ThawedOptions


@dataclass(frozen=True)
class OddOptions:
    universe: str = "main"
    port: complex = 1j


@breaks(RecordPromises, "test_its_options_are_a_frozen_dataclass_of_plain_fields")
class OddlyOptioned(Saboteur):
    Options = OddOptions


@breaks(RecordPromises, "test_making_an_instance_opens_nothing")
class OpensAtOnce(Saboteur):
    def __init__(self, options):
        super().__init__(options)
        self.ends = os.pipe()

    def close(self):
        while self.ends:
            os.close(self.ends[-1])
            self.ends = self.ends[:-1]


@breaks(RecordPromises, "test_making_an_instance_asks_nobody", says=r"has called os\.listdir")
class LooksAround(Saboteur):
    def __init__(self, options):
        super().__init__(options)
        self.beside = os.listdir()


@breaks(
    RecordPromises,
    "test_check_says_in_one_sentence_why_it_cannot_work_here",
    says="check raises ConfigError with one sentence",
)
class RefusesInSilence(Saboteur):
    def check(self):
        if self.options.universe == " ":
            raise ConfigError


@breaks(
    RecordPromises,
    "test_check_says_in_one_sentence_why_it_cannot_work_here",
    says=r"errors of opus_core\.errors .*RefusesInItsOwnWords\.check has raised OSError",
)
class RefusesInItsOwnWords(Saboteur):
    def check(self):
        if self.options.universe == " ":
            raise OSError("errno 2")


@breaks(
    RecordPromises,
    "test_close_gives_back_what_was_opened",
    says="close has given back the threads and file descriptors",
)
class LeavesAFileOpen(Saboteur):
    def check(self):
        super().check()
        self.opened = Path(os.devnull).open()


@breaks(
    RecordPromises,
    "test_check_is_content_with_what_works",
    more="whoever looks at what close gives back has checked before",
)
class NeverContent(Saboteur):
    def check(self):
        raise ConfigError("this cannot work here")


@breaks(RecordPromises, "test_its_warnings_are_sentences")
class WarnsAtLength(Saboteur):
    def warnings(self):
        return ["one line\nand another"]


@breaks(RecordPromises, "test_close_is_safe_twice")
class ClosesOnce(Saboteur):
    closed = False

    def close(self):
        if self.closed:
            raise ValueError("closed already")
        self.closed = True


# --- jobs come back ---


@breaks(JobPromises, "test_add_keeps_a_job_byte_for_byte")
class AddLosesAParameter(Saboteur):
    def add(self, job, *, limits=None):
        return super().add(replace(job, parameters=job.parameters[1:]), limits=limits)


@breaks(JobPromises, "test_save_keeps_a_job_byte_for_byte")
class SaveForgetsTheWatch(Saboteur):
    def save(self, job, **how):
        return super().save(replace(job, watch=Watch()), **how)


@breaks(JobPromises, "test_the_idempotency_key_of_a_job_is_kept")
class AsciiKeys(Saboteur):
    def add(self, job, *, limits=None):
        added = super().add(job, limits=limits)
        if job.idempotency:
            key = job.idempotency.key.encode("ascii", "ignore").decode()
            self.put(replace(added, idempotency=replace(job.idempotency, key=key)))
        return added


@breaks(JobPromises, "test_jobs_survive_a_restart")
class WritesLater(Saboteur):
    def close(self):
        self.universe.rows.clear()


@breaks(
    JobPromises,
    "test_what_one_instance_saved_another_reads",
    "test_two_writers_of_one_version_never_both_succeed",
)
class ReadsItsOwnCache(Saboteur):
    def __init__(self, options):
        super().__init__(options)
        self.cache = {}

    def add(self, job, *, limits=None):
        self.cache[job.id] = super().add(job, limits=limits)
        return self.cache[job.id]

    def save(self, job, **how):
        self.cache[job.id] = super().save(job, **how)
        return self.cache[job.id]

    def read(self, job_id, *, doomed=False):
        fresh = super().read(job_id, doomed=doomed)
        return replace(self.cache.get(job_id, fresh), job_info=fresh.job_info)


@breaks(JobPromises, "test_a_stored_job_shares_nothing_mutable_with_the_caller")
class SharesMappings(Saboteur):
    def add(self, job, *, limits=None):
        added = super().add(job, limits=limits)
        self.put(replace(job, version=1))
        return added


# --- add ---


@breaks(JobPromises, "test_add_gives_version_1_whatever_the_job_says")
class BelievesTheVersion(Saboteur):
    def add(self, job, *, limits=None):
        added = super().add(job, limits=limits)
        return self.put(replace(added, version=max(1, job.version)))


@breaks(
    JobPromises,
    "test_add_refuses_an_id_that_is_taken",
    "test_one_of_two_that_add_the_same_id_wins",
    "test_the_id_of_a_doomed_job_is_taken_until_it_is_removed",
)
class AddReplaces(Saboteur):
    def add(self, job, *, limits=None):
        self.universe.rows.pop(job.id, None)
        return super().add(job, limits=limits)


@breaks(JobPromises, "test_one_of_two_that_add_the_same_id_wins")
class AddLooksFirst(Saboteur):
    def add(self, job, *, limits=None):
        if self.stored(job.id):
            raise JobExists("taken")
        time.sleep(MOMENT)
        with self.universe.changed:
            self.universe.rows.pop(job.id, None)
            return super().add(job, limits=limits)


# --- read and summary ---


@breaks(JobPromises, "test_read_of_an_unknown_job_raises")
class ReadsVaguely(Saboteur):
    def read(self, job_id, *, doomed=False):
        if not any(change.job_id == job_id for change in self.universe.journal):
            raise NotFound("no such thing")
        return super().read(job_id, doomed=doomed)


@breaks(JobPromises, "test_read_finds_a_doomed_job_only_if_asked_to")
class ReadsTheDoomed(Saboteur):
    def read(self, job_id, *, doomed=False):
        return super().read(job_id, doomed=True)


@breaks(JobPromises, "test_summary_is_the_row_of_the_job")
class SummaryLosesRunId(Saboteur):
    def summary(self, job_id):
        return replace(super().summary(job_id), run_id=None)


@breaks(JobPromises, "test_summary_of_an_unknown_job_raises")
class SummaryOfNothing(Saboteur):
    def summary(self, job_id):
        return super().summary(job_id) if self.stored(job_id) else None


@breaks(JobPromises, "test_summary_does_not_know_a_doomed_job")
class SummaryOfTheDoomed(Saboteur):
    def summary(self, job_id):
        job = self.stored(job_id)
        if job is None:
            raise UnknownJob(job_id)
        return job.summary()


# --- save ---


@breaks(JobPromises, "test_save_adds_one_to_the_version")
class SaveBelievesTheVersion(Saboteur):
    def save(self, job, **how):
        saved = super().save(job, **how)
        return self.put(replace(saved, version=max(saved.version, job.version)))


@breaks(JobPromises, "test_save_of_another_version_is_a_conflict")
class ForgivesTheFuture(Saboteur):
    def save(self, job, *, expected, **how):
        stored = self.stored(job.id)
        if stored and stored.version < expected:
            expected = stored.version
        return super().save(job, expected=expected, **how)


@breaks(JobPromises, "test_two_writers_of_one_version_never_both_succeed")
class ComparesThenSets(Saboteur):
    def save(self, job, *, expected, **how):
        stored = self.stored(job.id)
        if stored is None or stored.version != expected:
            return super().save(job, expected=expected, **how)
        time.sleep(MOMENT)
        with self.universe.changed:
            self.put(replace(self.stored(job.id), version=expected))
            return super().save(job, expected=expected, **how)


@breaks(JobPromises, "test_save_of_a_job_never_stored_raises")
class SaveAdds(Saboteur):
    def save(self, job, **how):
        if not any(change.job_id == job.id for change in self.universe.journal):
            return self.add(job)
        return super().save(job, **how)


@breaks(JobPromises, "test_save_changes_a_doomed_job")
class SaveShunsTheDoomed(Saboteur):
    def save(self, job, **how):
        if self.stored(job.id) and self.stored(job.id).doomed:
            raise UnknownJob(job.id)
        return super().save(job, **how)


@breaks(JobPromises, "test_save_never_changes_when_a_job_was_created")
class SaveMovesCreation(Saboteur):
    def save(self, job, **how):
        return self.put(replace(super().save(job, **how), created=job.created))


@breaks(JobPromises, "test_save_never_changes_the_idempotency_key")
class SaveDropsTheKey(Saboteur):
    def save(self, job, **how):
        return self.put(replace(super().save(job, **how), idempotency=job.idempotency))


@breaks(
    JobPromises,
    "test_save_never_changes_job_info",
    says="the answer of save|what read finds",
)
class SaveWritesInfo(Saboteur):
    def save(self, job, **how):
        return self.put(replace(super().save(job, **how), job_info=job.job_info))


@breaks(JobPromises, "test_save_under_an_older_epoch_than_the_lease_is_a_conflict")
class NoFence(Saboteur):
    def save(self, job, *, epoch=None, **how):
        return super().save(job, **how)


@breaks(JobPromises, "test_save_under_the_epoch_of_the_lease_succeeds")
class FenceWithoutGate(Saboteur):
    def save(self, job, *, epoch=None, **how):
        lease = self.universe.leases.get(SUPERVISOR)
        if epoch is not None and lease and not lease.holder:
            raise Conflict("the lease was released")
        return super().save(job, epoch=epoch, **how)


@breaks(JobPromises, "test_save_heeds_the_epoch_of_no_other_lease")
class FencedByAnybody(Saboteur):
    def save(self, job, *, epoch=None, **how):
        if epoch and any(lease.epoch > epoch for lease in self.universe.leases.values()):
            raise Conflict("some lease is newer")
        return super().save(job, epoch=epoch, **how)


@breaks(
    JobPromises, "test_the_id_of_a_doomed_job_is_taken_until_it_is_removed", says="DID NOT RAISE"
)
class ReplacesTheDoomed(Saboteur):
    def add(self, job, *, limits=None):
        if self.stored(job.id) and self.stored(job.id).doomed:
            del self.universe.rows[job.id]
        return super().add(job, limits=limits)


Another, Unlisted, Long, Ever = finders(Saboteur, RecordPromises, __name__)
