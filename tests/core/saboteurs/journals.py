"""Storages with one promise broken each, about the journal."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

from core.saboteurs import storages
from core.saboteurs.registry import breaks
from core.saboteurs.storages import MOMENT, Saboteur
from opus_core.errors import Conflict, Gap
from opus_core.job import ANYONE, Work
from opus_core.testing.storage_journal import JournalPromises

fixtures = storages.fixtures


@breaks(JournalPromises, "test_add_writes_an_entry_whose_old_phase_is_none")
class JournalLosesRunId(Saboteur):
    def _journal(self, job, old, new):
        super()._journal(replace(job, run_id=None), old, new)


@breaks(
    JournalPromises,
    "test_a_change_of_phase_writes_an_entry",
    "test_a_change_of_phase_and_the_mark_doomed_are_two_entries_in_this_order",
)
class JournalForgetsTheOld(Saboteur):
    def _journal(self, job, old, new):
        super()._journal(job, new if old and new else old, new)


@breaks(JournalPromises, "test_a_save_that_keeps_the_phase_writes_no_entry")
class JournalsTheWork(Saboteur):
    def save(self, job, **how):
        old = self.stored(job.id)
        saved = super().save(job, **how)
        if saved.work is Work.WANTED and old.work is not saved.work:
            self.write(saved, saved.phase, saved.phase)
        return saved


@breaks(
    JournalPromises,
    "test_the_mark_doomed_writes_an_entry_whose_new_phase_is_none",
    "test_a_change_of_phase_and_the_mark_doomed_are_two_entries_in_this_order",
)
class DoomsInSilence(Saboteur):
    def _journal(self, job, old, new):
        if new:
            super()._journal(job, old, new)


@breaks(JournalPromises, "test_a_change_of_phase_and_the_mark_doomed_are_two_entries_in_this_order")
class DoomSwallowsThePhase(Saboteur):
    def _journal(self, job, old, new):
        if not (job.doomed and old and new):
            super()._journal(job, old, new)


@breaks(JournalPromises, "test_a_change_of_phase_and_the_mark_doomed_are_two_entries_in_this_order")
class DoomsFirst(Saboteur):
    def _journal(self, job, old, new):
        journal = self.universe.journal
        super()._journal(job, old, new)
        if old and not new and len(journal) > 1 and journal[-2].new is old:
            phase, doom = journal[-2:]
            if phase.job_id == doom.job_id and phase.old:
                journal[-2:] = [replace(doom, seq=phase.seq), replace(phase, seq=doom.seq)]


@breaks(JournalPromises, "test_a_job_is_doomed_once")
class DoomsTwice(Saboteur):
    def save(self, job, **how):
        old = self.stored(job.id)
        saved = super().save(job, **how)
        if old.doomed:
            self.write(saved, saved.phase, None)
        return saved


@breaks(JournalPromises, "test_a_refused_save_writes_no_entry")
class JournalsTheRefused(Saboteur):
    def save(self, job, **how):
        try:
            return super().save(job, **how)
        except Conflict:
            self.write(job, None, job.phase)
            raise


@breaks(
    JournalPromises,
    "test_the_time_of_an_entry_is_when_it_was_written",
    says="timedelta",
)
class LocalTime(Saboteur):
    def _journal(self, job, old, new):
        super()._journal(job, old, new)
        last = self.universe.journal[-1]
        self.universe.journal[-1] = replace(last, time=last.time + timedelta(hours=1))


@breaks(JournalPromises, "test_the_journal_keeps_deleted_jobs")
class JournalDropsTheDeleted(Saboteur):
    def delete(self, job_id, *, expected):
        super().delete(job_id, expected=expected)
        journal = self.universe.journal
        self.universe.journal = [one for one in journal if one.job_id != job_id]


@breaks(JournalPromises, "test_the_journal_survives_a_restart")
class JournalOfOneLife(Saboteur):
    def close(self):
        self.universe.journal.clear()


@breaks(
    JournalPromises,
    "test_entries_come_oldest_first_with_growing_numbers",
    more="in the wrong order nothing is where the other tests look for it",
)
class NewestFirst(Saboteur):
    def changes(self, after, *, owner=ANYONE, limit=1000):
        number, found = super().changes(after, owner=owner, limit=limit)
        return number, found[::-1]


@breaks(
    JournalPromises,
    "test_only_entries_behind_the_number_are_listed",
    more="most tests ask for what is new since a number",
)
class AtOrBehind(Saboteur):
    def changes(self, after, *, owner=ANYONE, limit=1000):
        number, found = super().changes(max(0, after - 1), owner=owner, limit=limit)
        return super().changes(after, owner=owner, limit=limit) if after < 0 else (number, found)


@breaks(
    JournalPromises,
    "test_the_limit_cuts_and_the_number_goes_on_from_there",
    "test_with_an_owner_and_a_limit_nothing_is_skipped",
)
class LimitSkips(Saboteur):
    def changes(self, after, *, owner=ANYONE, limit=1000):
        with self.universe.changed:
            return self.universe.newest, super().changes(after, owner=owner, limit=limit)[1]


@breaks(JournalPromises, "test_a_negative_number_lists_nothing_and_answers_the_newest")
class NegativeListsAll(Saboteur):
    def changes(self, after, *, owner=ANYONE, limit=1000):
        number, found = super().changes(after, owner=owner, limit=limit)
        return number, list(self.universe.journal) if after < 0 else found


@breaks(JournalPromises, "test_a_number_beyond_the_newest_lists_nothing_and_answers_the_newest")
class BelievesAnyNumber(Saboteur):
    def changes(self, after, *, owner=ANYONE, limit=1000):
        number, found = super().changes(after, owner=owner, limit=limit)
        return max(number, after), found


@breaks(JournalPromises, "test_with_an_owner_only_that_owners_jobs_are_listed")
class NobodyIsAnybody(Saboteur):
    def changes(self, after, *, owner=ANYONE, limit=1000):
        return super().changes(after, owner=ANYONE if owner is None else owner, limit=limit)


@breaks(JournalPromises, "test_with_an_owner_the_number_moves_past_the_others")
class NumberOfTheLastListed(Saboteur):
    def changes(self, after, *, owner=ANYONE, limit=1000):
        number, found = super().changes(after, owner=owner, limit=limit)
        if owner is not ANYONE:
            number = found[-1].seq if found else after
        return number, found


@breaks(JournalPromises, "test_with_an_owner_and_a_limit_nothing_is_skipped")
class LimitOfAnOwnerSkips(Saboteur):
    def changes(self, after, *, owner=ANYONE, limit=1000):
        number, found = super().changes(after, owner=owner)
        if owner is not ANYONE:
            return number, found[:limit]
        return super().changes(after, limit=limit)


@breaks(JournalPromises, "test_a_reader_skips_nothing_that_several_writers_write")
class NumbersBeforeTheCommit(Saboteur):
    def add(self, job, *, limits=None):
        journal = self.universe.journal
        with self.universe.changed:
            added = super().add(job, limits=limits)
            entry = journal.pop()
        time.sleep(MOMENT * (entry.seq % 3))
        with self.universe.changed:
            journal.append(entry)
            journal.sort(key=lambda one: one.seq)
        return added

    def prepare(self):
        """One list for all, that `add` may hold on to."""


@breaks(JournalPromises, "test_entries_are_kept_for_30_days")
class KeepsThreeWeeks(Saboteur):
    def _journal(self, job, old, new):
        super()._journal(job, old, new)
        journal = self.universe.journal
        while journal[0].time < journal[-1].time - timedelta(weeks=3):
            self.universe.removed = journal.pop(0).seq


@breaks(
    JournalPromises,
    "test_what_the_journal_has_dropped_is_a_gap_and_never_silence",
    says="the oldest entries are gone, and nothing says so",
)
class ForgetsInSilence(Saboteur):
    def changes(self, after, *, owner=ANYONE, limit=1000):
        try:
            return super().changes(after, owner=owner, limit=limit)
        except Gap:
            return super().changes(self.universe.removed, owner=owner, limit=limit)


@breaks(JournalPromises, "test_what_the_journal_has_dropped_is_a_gap_and_never_silence")
class GapToNowhere(Saboteur):
    def changes(self, after, *, owner=ANYONE, limit=1000):
        try:
            return super().changes(after, owner=owner, limit=limit)
        except Gap:
            raise Gap(0) from None
