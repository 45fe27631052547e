"""Promises of `Storage` about what goes with a job: notes, pokes, and its deletion."""

from __future__ import annotations

from functools import partial

import pytest

from opus_core.backends import Storage
from opus_core.errors import Conflict, UnknownJob
from opus_core.job import Work, new_id
from opus_core.testing.backend import Instances
from opus_core.testing.samples import DOOMED, a_job, a_running_job
from opus_core.testing.storage_kit import StorageKit
from opus_core.testing.timing import together


class NotePromises(StorageKit):
    """Notes and pokes change nothing else of a job, none is lost, and all go with it."""

    # -- note

    def test_note_merges_and_an_empty_value_removes(self, storage: Storage) -> None:
        job = storage.add(a_job(job_info={"a": "1", "b": "2"}))
        storage.note(job.id, {"b": "", "c": "3 'é\n", "d": ""})
        assert storage.read(job.id).job_info == {"a": "1", "c": "3 'é\n"}

    def test_note_leaves_version_and_journal_alone(self, storage: Storage) -> None:
        job = storage.add(a_job())
        newest = storage.changes(-1)[0]
        storage.note(job.id, {"a": "1"})
        assert storage.read(job.id).version == 1
        assert storage.changes(newest) == (newest, [])

    def test_note_on_a_job_that_is_not_stored_does_nothing(self, storage: Storage) -> None:
        job = a_job()
        storage.note(job.id, {"a": "1"})
        assert storage.add(job).job_info == {}
        assert storage.read(job.id).job_info == {}, "the note was kept for a job to come"

    def test_notes_made_at_once_are_all_kept(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        stores = (storage, instances.open())
        job = storage.add(a_job())
        together(*(partial(stores[n % 2].note, job.id, {f"k{n}": str(n)}) for n in range(6)))
        assert storage.read(job.id).job_info == {f"k{n}": str(n) for n in range(6)}

    def test_a_doomed_job_is_noted_and_poked_like_any_other(self, storage: Storage) -> None:
        job = storage.add(a_running_job(marks=DOOMED))
        storage.note(job.id, {"node": "n1"})
        assert storage.poke("event", job_id=job.id) == 1, "poke does not find a doomed job"
        assert storage.read(job.id, doomed=True).job_info == {"node": "n1"}
        assert storage.take_pokes(job.id) == {"event"}

    def test_notes_survive_a_restart(self, storage: Storage, instances: Instances[Storage]) -> None:
        job = storage.add(a_job(job_info={"a": "1"}))
        storage.note(job.id, {"b": "2"})
        kept = instances.restart(storage).read(job.id).job_info
        assert kept == {"a": "1", "b": "2"}, "what note has returned from is durable"

    # -- poke

    def test_poke_by_id_is_taken_once(self, storage: Storage) -> None:
        job = storage.add(a_running_job())
        assert storage.poke("event", job_id=job.id) == 1
        assert storage.poke("output", job_id=job.id) == 1
        assert storage.take_pokes(job.id) == {"event", "output"}
        assert storage.take_pokes(job.id) == frozenset(), "taken twice"

    def test_several_pokes_of_one_kind_are_one(self, storage: Storage) -> None:
        job = storage.add(a_running_job())
        for _ in range(3):
            assert storage.poke("info", job_id=job.id) == 1
        assert storage.take_pokes(job.id) == {"info"}
        assert storage.take_pokes(job.id) == frozenset(), "one remained"

    def test_poke_by_native_id_finds_live_jobs_alone(self, storage: Storage) -> None:
        live = storage.add(a_running_job(native_ids=("7", "77")))
        ended = storage.add(a_running_job(native_ids=("77",), work=Work.ENDED))
        assert storage.poke("event", native_id="77") == 1
        assert storage.take_pokes(live.id) == {"event"}
        assert storage.take_pokes(ended.id) == frozenset()
        assert storage.poke("event", native_id="777") == 0, "by a part of the native id"

    def test_poke_by_native_id_finds_every_job_that_has_it(self, storage: Storage) -> None:
        twins = [storage.add(a_running_job(native_ids=("8",))) for _ in range(2)]
        assert storage.poke("event", native_id="8") == 2
        assert [storage.take_pokes(job.id) for job in twins] == [{"event"}] * 2

    def test_poke_of_an_unknown_job_finds_none(self, storage: Storage) -> None:
        assert storage.poke("event", job_id=new_id()) == 0
        assert storage.poke("event", native_id="none such") == 0

    def test_poke_leaves_version_and_journal_alone(self, storage: Storage) -> None:
        job = storage.add(a_running_job())
        newest = storage.changes(-1)[0]
        storage.poke("event", job_id=job.id)
        assert storage.read(job.id).version == 1
        assert storage.changes(newest) == (newest, [])

    def test_a_poke_is_taken_by_one_of_two(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        stores = (storage, instances.open())
        job = storage.add(a_running_job())
        for _ in range(5):
            storage.poke("event", job_id=job.id)
            taken = together(*(partial(stores[n % 2].take_pokes, job.id) for n in range(4)))
            assert sorted(taken, key=len) == [set(), set(), set(), {"event"}]

    # -- delete

    def test_delete_removes_the_job(self, storage: Storage) -> None:
        job, other = storage.add(a_job(marks=DOOMED)), storage.add(a_job())
        storage.delete(job.id, expected=1)
        with pytest.raises(UnknownJob):
            storage.read(job.id, doomed=True)
        with pytest.raises(UnknownJob):
            storage.save(job, expected=1)
        assert storage.read(other.id) == other

    def test_delete_of_another_version_is_a_conflict(self, storage: Storage) -> None:
        job = storage.add(a_job())
        with pytest.raises(Conflict):
            storage.delete(job.id, expected=2)
        assert storage.read(job.id) == job

    def test_delete_writes_no_entry(self, storage: Storage) -> None:
        job = storage.add(a_job(marks=DOOMED))
        newest = storage.changes(-1)[0]
        storage.delete(job.id, expected=1)
        assert storage.changes(newest) == (newest, []), "the journal tells of dooms, not of this"

    def test_delete_of_what_is_gone_does_nothing(self, storage: Storage) -> None:
        job = storage.add(a_job())
        storage.delete(job.id, expected=1)
        storage.delete(job.id, expected=1)
        storage.delete(new_id(), expected=1)

    def test_delete_removes_notes_and_pokes(self, storage: Storage) -> None:
        job = storage.add(a_running_job())
        storage.note(job.id, {"node": "n1"})
        storage.poke("event", job_id=job.id)
        storage.delete(job.id, expected=1)
        assert storage.take_pokes(job.id) == frozenset()
        assert storage.add(a_running_job(id=job.id)).job_info == {}
        assert storage.read(job.id).job_info == {}, "a new job of this id has the old one's notes"
        assert storage.take_pokes(job.id) == frozenset(), "... or its pokes"
