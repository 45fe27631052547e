"""Promises of `Storage` about single jobs: add, read, save, note, poke, delete."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import given

from opus_core.backends import SUPERVISOR, Storage
from opus_core.errors import Conflict, JobExists, UnknownJob
from opus_core.job import Idempotency, Job, Parameter, Phase, Work, new_id
from opus_core.testing.backend import Instances
from opus_core.testing.samples import DOOMED, LONG_AGO, a_job, a_running_job
from opus_core.testing.storage_kit import StorageKit, thorough
from opus_core.testing.strategies import jobs
from opus_core.testing.timing import race


class JobPromises(StorageKit):
    """A job comes back as it was given, and two writers of one version never both succeed."""

    @thorough
    @given(job=jobs())
    def test_add_keeps_a_job_byte_for_byte(self, storage: Storage, job: Job) -> None:
        job = replace(job, id=new_id(), idempotency=None)
        added = storage.add(job)
        assert added == replace(job, version=1), "the answer of add"
        assert storage.read(job.id, doomed=True) == added, "what read finds"

    @thorough
    @given(job=jobs())
    def test_save_keeps_a_job_byte_for_byte(self, storage: Storage, job: Job) -> None:
        first = storage.add(a_job())
        job = replace(job, id=first.id, created=first.created, idempotency=None, job_info={})
        saved = storage.save(job, expected=1)
        assert saved == replace(job, version=2), "the answer of save"
        assert storage.read(job.id, doomed=True) == saved, "what read finds"

    def test_the_idempotency_key_of_a_job_is_kept(self, storage: Storage) -> None:
        job = storage.add(a_job(idempotency=Idempotency(key="k 'é", body="f" * 64)))
        assert storage.read(job.id).idempotency == Idempotency(key="k 'é", body="f" * 64)

    def test_jobs_survive_a_restart(self, storage: Storage, instances: Instances[Storage]) -> None:
        job = storage.add(a_job(parameters=(Parameter(name="x", value="1"),)))
        saved = storage.save(replace(job, run_id="mine"), expected=1)
        assert instances.restart(storage).read(job.id) == saved

    def test_what_one_instance_saved_another_reads(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        other = instances.open()
        job = storage.add(a_job())
        assert other.read(job.id) == job
        saved = other.save(replace(job, run_id="other"), expected=1)
        assert storage.read(job.id) == saved

    def test_a_stored_job_shares_nothing_mutable_with_the_caller(self, storage: Storage) -> None:
        options = {"memory": "1 GB"}
        job = storage.add(a_job(options=options))
        options["memory"] = "all of it"
        assert storage.read(job.id).options == {"memory": "1 GB"}

    # -- add

    def test_add_gives_version_1_whatever_the_job_says(self, storage: Storage) -> None:
        assert storage.add(a_job(version=41)).version == 1

    def test_add_refuses_an_id_that_is_taken(self, storage: Storage) -> None:
        job = storage.add(a_job())
        with pytest.raises(JobExists):
            storage.add(a_job(id=job.id, owner="eve"))
        assert storage.read(job.id).owner == "ann", "the first job was replaced"

    def test_the_id_of_a_doomed_job_is_taken_until_it_is_removed(self, storage: Storage) -> None:
        job = storage.add(a_job(marks=DOOMED))
        with pytest.raises(JobExists):
            storage.add(a_job(id=job.id))
        storage.delete(job.id, expected=1)
        assert storage.add(a_job(id=job.id)).version == 1, "a removed id is not free"

    def test_one_of_two_that_add_the_same_id_wins(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        stores = (storage, instances.open())
        for _ in range(5):
            job_id = new_id()
            rivals = [a_job(id=job_id, owner=name) for name in ("ann", "bob")]
            outcomes = race(
                *(partial(store.add, job) for store, job in zip(stores, rivals, strict=True))
            )
            won = [one for one in outcomes if isinstance(one, Job)]
            lost = [one for one in outcomes if isinstance(one, JobExists)]
            assert (len(won), len(lost)) == (1, 1), outcomes
            assert storage.read(job_id) == won[0]

    # -- read and summary

    def test_read_of_an_unknown_job_raises(self, storage: Storage) -> None:
        with pytest.raises(UnknownJob):
            storage.read(new_id())

    def test_read_finds_a_doomed_job_only_if_asked_to(self, storage: Storage) -> None:
        job = storage.add(a_job(marks=DOOMED))
        with pytest.raises(UnknownJob):
            storage.read(job.id)
        assert storage.read(job.id, doomed=True) == job

    def test_summary_is_the_row_of_the_job(self, storage: Storage) -> None:
        job = storage.add(
            a_job(
                owner=None,
                run_id="run 'é",
                phase=Phase.COMPLETED,
                started=LONG_AGO,
                ended=LONG_AGO + timedelta(seconds=1),
                destruction=LONG_AGO + timedelta(days=1),
            )
        )
        assert storage.summary(job.id) == job.summary()

    def test_summary_of_an_unknown_job_raises(self, storage: Storage) -> None:
        with pytest.raises(UnknownJob):
            storage.summary(new_id())

    def test_summary_does_not_know_a_doomed_job(self, storage: Storage) -> None:
        job = storage.add(a_job(marks=DOOMED))
        with pytest.raises(UnknownJob):
            storage.summary(job.id)

    # -- save

    def test_save_adds_one_to_the_version(self, storage: Storage) -> None:
        job = storage.add(a_job())
        for version in (2, 3, 4):
            job = storage.save(replace(job, version=99), expected=version - 1)
            assert job.version == version

    def test_save_of_another_version_is_a_conflict(self, storage: Storage) -> None:
        job = storage.add(a_job())
        saved = storage.save(replace(job, run_id="first"), expected=1)
        for wrong in (0, 1, 3):
            with pytest.raises(Conflict):
                storage.save(replace(job, run_id="late"), expected=wrong)
        assert storage.read(job.id) == saved, "a refused save has changed the job"

    def test_two_writers_of_one_version_never_both_succeed(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        stores = (storage, instances.open())
        job = storage.add(a_job())
        for version in range(1, 9):
            outcomes = race(
                *(
                    partial(
                        stores[n % 2].save, replace(job, run_id=f"writer {n}"), expected=version
                    )
                    for n in range(6)
                )
            )
            won = [one for one in outcomes if isinstance(one, Job)]
            lost = [one for one in outcomes if isinstance(one, Conflict)]
            assert (len(won), len(lost)) == (1, 5), outcomes
            assert storage.read(job.id) == won[0], "the winner's job is not the one stored"

    def test_save_of_a_job_never_stored_raises(self, storage: Storage) -> None:
        with pytest.raises(UnknownJob):
            storage.save(a_job(), expected=0)
        with pytest.raises(UnknownJob):
            storage.save(a_job(), expected=1)

    def test_save_changes_a_doomed_job(self, storage: Storage) -> None:
        job = storage.add(a_running_job(marks=DOOMED))
        saved = storage.save(replace(job, work=Work.ENDED), expected=1)
        assert storage.read(job.id, doomed=True) == saved

    def test_save_never_changes_when_a_job_was_created(self, storage: Storage) -> None:
        job = storage.add(a_job())
        saved = storage.save(replace(job, created=LONG_AGO), expected=1)
        assert saved.created == job.created, "the answer of save"
        assert storage.read(job.id).created == job.created, "what read finds"

    def test_save_never_changes_the_idempotency_key(self, storage: Storage) -> None:
        job = storage.add(a_job(idempotency=Idempotency(key="k", body="0" * 64)))
        saved = storage.save(replace(job, idempotency=None), expected=1)
        assert saved.idempotency == job.idempotency, "the answer of save"
        assert storage.read(job.id).idempotency == job.idempotency, "what read finds"

    def test_save_never_changes_job_info(self, storage: Storage) -> None:
        job = storage.add(a_job(job_info={"node": "n1"}))
        saved = storage.save(replace(job, job_info={"node": "n2", "new": "x"}), expected=1)
        assert saved.job_info == {"node": "n1"}, "the answer of save"
        assert storage.read(job.id).job_info == {"node": "n1"}, "what read finds"

    def test_save_under_an_older_epoch_than_the_lease_is_a_conflict(self, storage: Storage) -> None:
        job = storage.add(a_job())
        old = storage.lease(SUPERVISOR, "old", 60)
        storage.release(SUPERVISOR, "old")
        storage.lease(SUPERVISOR, "new", 60)
        with pytest.raises(Conflict):
            storage.save(replace(job, run_id="late"), expected=1, epoch=old.epoch)
        assert storage.read(job.id) == job, "a refused save has changed the job"

    def test_save_under_the_epoch_of_the_lease_succeeds(self, storage: Storage) -> None:
        job = storage.add(a_job())
        storage.lease(SUPERVISOR, "old", 60)
        storage.release(SUPERVISOR, "old")
        mine = storage.lease(SUPERVISOR, "new", 60)
        assert storage.save(job, expected=1, epoch=mine.epoch).version == 2
        storage.release(SUPERVISOR, "new")
        assert storage.save(job, expected=2, epoch=mine.epoch).version == 3, "released, not newer"

    def test_save_heeds_the_epoch_of_no_other_lease(self, storage: Storage) -> None:
        job = storage.add(a_job())
        for holder in ("a", "b", "c"):
            storage.lease("another", holder, 60)
            storage.release("another", holder)
        assert storage.save(job, expected=1, epoch=1).version == 2
