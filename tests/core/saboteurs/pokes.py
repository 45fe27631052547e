"""Storages with one promise broken each, about notes, pokes and deletion."""

from __future__ import annotations

import time
from dataclasses import replace

from core.saboteurs import storages
from core.saboteurs.registry import breaks
from core.saboteurs.storages import MOMENT, Saboteur
from opus_core.errors import UnknownJob
from opus_core.job import Work
from opus_core.testing.storage_notes import NotePromises

fixtures = storages.fixtures


@breaks(NotePromises, "test_note_merges_and_an_empty_value_removes")
class NotesEmptiness(Saboteur):
    def note(self, job_id, info):
        job = self.stored(job_id)
        if job:
            self.put(replace(job, job_info={**job.job_info, **info}))


@breaks(NotePromises, "test_note_leaves_version_and_journal_alone")
class NotesInTheJournal(Saboteur):
    def note(self, job_id, info):
        super().note(job_id, info)
        job = self.stored(job_id)
        if job:
            self.write(job, job.phase, job.phase)


@breaks(NotePromises, "test_note_on_a_job_that_is_not_stored_does_nothing")
class NotesAhead(Saboteur):
    def __init__(self, options):
        super().__init__(options)
        self.ahead = {}

    def note(self, job_id, info):
        if not self.stored(job_id):
            self.ahead[job_id] = info
        super().note(job_id, info)

    def add(self, job, *, limits=None):
        info = {**job.job_info, **self.ahead.pop(job.id, {})}
        return super().add(replace(job, job_info=info), limits=limits)


@breaks(NotePromises, "test_notes_made_at_once_are_all_kept")
class NotesWithoutALock(Saboteur):
    def note(self, job_id, info):
        job = self.stored(job_id)
        time.sleep(MOMENT)
        if job:
            merged = {**job.job_info, **info}
            self.put(replace(job, job_info={k: v for k, v in merged.items() if v}))


# --- poke ---


@breaks(NotePromises, "test_poke_by_id_is_taken_once")
class TakesOneKind(Saboteur):
    def take_pokes(self, job_id):
        taken = super().take_pokes(job_id)
        for what in sorted(taken)[1:]:
            self.poke(what, job_id=job_id)
        return frozenset(sorted(taken)[:1])


@breaks(NotePromises, "test_several_pokes_of_one_kind_are_one")
class CountsPokes(Saboteur):
    def poke(self, what, *, job_id=None, native_id=None):
        row = self.universe.rows.get(job_id)
        again = row and what in row.pokes
        return super().poke(f"{what} again" if again else what, job_id=job_id, native_id=native_id)


@breaks(NotePromises, "test_poke_by_native_id_finds_live_jobs_alone")
class PokesTheEnded(Saboteur):
    def poke(self, what, *, job_id=None, native_id=None):
        with self.pretending(lambda job: replace(job, work=Work.LIVE)):
            return super().poke(what, job_id=job_id, native_id=native_id)


@breaks(NotePromises, "test_poke_by_native_id_finds_live_jobs_alone")
class PokesByParts(Saboteur):
    def poke(self, what, *, job_id=None, native_id=None):
        ids = {one for row in self.universe.rows.values() for one in row.job.native_ids}
        matching = {one for one in ids if native_id and one in native_id} | {native_id}
        return sum(super(PokesByParts, self).poke(what, native_id=one) for one in matching) + (
            super().poke(what, job_id=job_id) if job_id else 0
        )


@breaks(NotePromises, "test_poke_by_native_id_finds_every_job_that_has_it")
class PokesTheFirst(Saboteur):
    def poke(self, what, *, job_id=None, native_id=None):
        for row in self.universe.rows.values():
            if native_id in row.job.native_ids and row.job.work is Work.LIVE:
                return super().poke(what, job_id=row.job.id)
        return super().poke(what, job_id=job_id)


@breaks(NotePromises, "test_poke_of_an_unknown_job_finds_none")
class PokesNobody(Saboteur):
    def poke(self, what, *, job_id=None, native_id=None):
        found = super().poke(what, job_id=job_id, native_id=native_id)
        return found if native_id == "777" else max(1, found)


@breaks(NotePromises, "test_poke_leaves_version_and_journal_alone")
class PokesInTheJournal(Saboteur):
    def poke(self, what, *, job_id=None, native_id=None):
        job = self.stored(job_id)
        if job:
            self.write(job, job.phase, job.phase)
        return super().poke(what, job_id=job_id, native_id=native_id)


@breaks(NotePromises, "test_a_poke_is_taken_by_one_of_two")
class TakesWithoutALock(Saboteur):
    def take_pokes(self, job_id):
        row = self.universe.rows.get(job_id)
        taken = frozenset(row.pokes) if row else frozenset()
        time.sleep(MOMENT)
        if row:
            row.pokes.clear()
        return taken


# --- delete ---


@breaks(NotePromises, "test_delete_removes_the_job")
class KeepsTheDoomed(Saboteur):
    def delete(self, job_id, *, expected):
        if not (self.stored(job_id) and self.stored(job_id).doomed):
            super().delete(job_id, expected=expected)


@breaks(NotePromises, "test_delete_of_another_version_is_a_conflict")
class DeletesAnyVersion(Saboteur):
    def delete(self, job_id, *, expected):
        self.universe.rows.pop(job_id, None)


@breaks(NotePromises, "test_delete_of_what_is_gone_does_nothing")
class DeletesOnce(Saboteur):
    def delete(self, job_id, *, expected):
        if not self.stored(job_id):
            raise UnknownJob(job_id)
        super().delete(job_id, expected=expected)


@breaks(NotePromises, "test_delete_removes_notes_and_pokes")
class KeepsNotes(Saboteur):
    def __init__(self, options):
        super().__init__(options)
        self.notes = {}

    def delete(self, job_id, *, expected):
        job = self.stored(job_id)
        super().delete(job_id, expected=expected)
        if job:
            self.notes[job_id] = job.job_info

    def add(self, job, *, limits=None):
        added = super().add(job, limits=limits)
        super().note(job.id, self.notes.pop(job.id, {}))
        return added


@breaks(NotePromises, "test_delete_removes_notes_and_pokes")
class KeepsPokes(Saboteur):
    def __init__(self, options):
        super().__init__(options)
        self.pokes = {}

    def delete(self, job_id, *, expected):
        row = self.universe.rows.get(job_id)
        super().delete(job_id, expected=expected)
        if row:
            self.pokes[job_id] = frozenset(row.pokes)

    def take_pokes(self, job_id):
        return super().take_pokes(job_id) | self.pokes.pop(job_id, frozenset())


@breaks(
    NotePromises, "test_a_doomed_job_is_noted_and_poked_like_any_other", says="find a doomed job"
)
class PokesNoDoomed(Saboteur):
    def poke(self, what, *, job_id=None, native_id=None):
        with self.pretending(lambda job: None if job.doomed else job):
            return super().poke(what, job_id=job_id, native_id=native_id)


@breaks(NotePromises, "test_notes_survive_a_restart", says="note has returned from is durable")
class NotesOfOneLife(Saboteur):
    def close(self):
        for row in self.universe.rows.values():
            row.job = replace(row.job, job_info={})


@breaks(NotePromises, "test_delete_writes_no_entry", says="dooms, not of this")
class JournalsTheDeleted(Saboteur):
    def delete(self, job_id, *, expected):
        job = self.stored(job_id)
        super().delete(job_id, expected=expected)
        if job and job.doomed:
            self.write(job, job.phase, None)
