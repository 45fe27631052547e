"""Storages with one promise broken each, about what is found after a save."""

from __future__ import annotations

import time
from dataclasses import replace

from core.saboteurs import storages
from core.saboteurs.registry import breaks
from core.saboteurs.storages import MOMENT, Saboteur
from opus_core.errors import Conflict, LimitReached
from opus_core.testing.storage_saved import SavedPromises

fixtures = storages.fixtures


class Columns(Saboteur):
    """Keeps what jobs were first in columns of their own, which nobody brings up to date."""

    columns: tuple[str, ...] = ()

    def __init__(self, options):
        super().__init__(options)
        self.first = self.universe.__dict__.setdefault("first", {})

    def add(self, job, *, limits=None):
        added = super().add(job, limits=limits)
        self.first[job.id] = {name: getattr(job, name) for name in self.columns}
        return added

    def of_before(self, job):
        return replace(job, **self.first.get(job.id, {}))


@breaks(SavedPromises, "test_lists_show_a_job_as_it_was_saved_last", says="not found by what was")
class ListsByTheFirstOwner(Columns):
    columns = ("owner",)

    def _matches(self, job, query):
        return super()._matches(self.of_before(job), query)


@breaks(SavedPromises, "test_lists_show_a_job_as_it_was_saved_last", says="not found by what was")
class SearchesTheFirstParameters(Columns):
    columns = ("parameters",)

    def _says(self, job, query):
        return super()._says(self.of_before(job), query)


@breaks(SavedPromises, "test_native_ids_are_those_that_were_saved_last", says="of before")
class PokesByTheFirstIds(Columns):
    columns = ("native_ids",)

    def poke(self, what, *, job_id=None, native_id=None):
        with self.pretending(self.of_before):
            return super().poke(what, job_id=job_id, native_id=native_id)


@breaks(SavedPromises, "test_a_destruction_that_was_saved_counts", says="the time of before")
class ExpiresByTheFirstTime(Columns):
    columns = ("destruction",)

    def expired(self, limit):
        with self.pretending(self.of_before):
            return super().expired(limit)


@breaks(SavedPromises, "test_the_journal_tells_of_a_job_as_it_was_saved")
class JournalsTheFirstRunId(Columns):
    columns = ("run_id",)

    def _journal(self, job, old, new):
        super()._journal(self.of_before(job), old, new)


@breaks(SavedPromises, "test_limits_count_what_was_saved_last")
class CountsTheFirstBytes(Columns):
    columns = ("parameters", "results")

    def _check_limits(self, job, limits, now):
        with self.pretending(self.of_before):
            super()._check_limits(job, limits, now)


@breaks(
    SavedPromises, "test_a_refused_save_changes_nothing", says="refused by .* changed something"
)
class DueAlthoughRefused(Saboteur):
    def save(self, job, **how):
        try:
            return super().save(job, **how)
        except (Conflict, LimitReached):
            self.universe.rows[job.id].due = self.universe.now()
            raise


@breaks(SavedPromises, "test_a_refused_save_changes_nothing", says="refused by limit")
class SavesBeforeItCounts(Saboteur):
    def save(self, job, *, limits=None, **how):
        saved = super().save(job, **how)
        with self.universe.changed:
            self._check_limits(job, limits, self.universe.now())
        return saved


@breaks(SavedPromises, "test_limits_active_holds_against_jobs_saved_at_once", says="2 may be")
class CountsFirst(Saboteur):
    def save(self, job, *, limits=None, expected, **how):
        with self.universe.changed:
            row = self.universe.rows.get(job.id)
            if row and row.job.version == expected and how.get("epoch") is None:
                self._check_limits(job, limits, self.universe.now())
        if limits:
            time.sleep(MOMENT)
        return super().save(job, expected=expected, **how)


@breaks(SavedPromises, "test_notes_made_while_others_save_are_all_kept", says="written over a note")
class SavesInfoOfBefore(Saboteur):
    def save(self, job, **how):
        before = self.stored(job.id)
        time.sleep(MOMENT)
        saved = super().save(job, **how)
        return self.put(replace(saved, job_info=before.job_info)) if before else saved

    def note(self, job_id, info):
        super().note(job_id, info)
        time.sleep(MOMENT / 2)


@breaks(SavedPromises, "test_of_a_save_and_a_delete_at_once_one_succeeds", says="both a save and a")
class DeletesWhatItSawBefore(Saboteur):
    def delete(self, job_id, *, expected):
        job = self.stored(job_id)
        time.sleep(3 * MOMENT)
        if job and job.version == expected:
            self.universe.rows.pop(job_id, None)
