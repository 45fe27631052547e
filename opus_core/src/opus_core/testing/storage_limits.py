"""Promises of `Storage` about quotas and Idempotency-Keys, counted in the same transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from opus_core.backends import Limits, Storage
from opus_core.errors import AlreadyAdded, JobExists, LimitReached, UnknownJob
from opus_core.job import ACTIVE, Idempotency, Job, Phase
from opus_core.testing.backend import Instances
from opus_core.testing.samples import DOOMED, a_job, a_job_of_bytes, a_running_job
from opus_core.testing.storage_kit import StorageKit
from opus_core.testing.timing import race

KEY = Idempotency(key="once", body="a" * 64)
ANOTHER = Idempotency(key="another", body="a" * 64)
OTHER_BODY = Idempotency(key="once", body="b" * 64)
HOUR = 3600.0


class LimitPromises(StorageKit):
    """A quota holds however many ask at once; a request that comes twice makes one job."""

    # -- limits.active

    def test_limits_active_counts_jobs_in_an_active_phase(self, storage: Storage) -> None:
        for phase in sorted(ACTIVE):
            storage.add(a_job(phase=phase), limits=Limits(active=len(ACTIVE)))
        with pytest.raises(LimitReached):
            storage.add(a_job(phase=Phase.QUEUED), limits=Limits(active=len(ACTIVE)))

    def test_limits_active_counts_no_other_phase(self, storage: Storage) -> None:
        for phase in (Phase.PENDING, Phase.COMPLETED, Phase.ERROR, Phase.ABORTED, Phase.ARCHIVED):
            storage.add(a_job(phase=phase))
        storage.add(a_job(phase=Phase.QUEUED), limits=Limits(active=1))

    def test_limits_active_is_not_asked_for_a_job_that_is_not_active(
        self, storage: Storage
    ) -> None:
        storage.add(a_job(phase=Phase.QUEUED))
        storage.add(a_job(phase=Phase.PENDING), limits=Limits(active=0))

    def test_limits_active_holds_against_jobs_added_at_once(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        stores = (storage, instances.open())
        outcomes = race(
            *(
                partial(stores[n % 2].add, a_job(phase=Phase.QUEUED), limits=Limits(active=3))
                for n in range(8)
            )
        )
        added = [one for one in outcomes if isinstance(one, Job)]
        refused = [one for one in outcomes if isinstance(one, LimitReached)]
        assert (len(added), len(refused)) == (3, 5), outcomes

    # -- limits.per_hour

    def test_limits_per_hour_counts_what_was_created(self, storage: Storage) -> None:
        for _ in range(2):
            storage.add(a_job(), limits=Limits(per_hour=2))
        with pytest.raises(LimitReached):
            storage.add(a_job(), limits=Limits(per_hour=2))

    def test_limits_per_hour_counts_deleted_jobs(self, storage: Storage) -> None:
        job = storage.add(a_job())
        storage.delete(job.id, expected=1)
        with pytest.raises(LimitReached):
            storage.add(a_job(), limits=Limits(per_hour=1))

    def test_limits_per_hour_forgets_after_an_hour(
        self, storage: Storage, later: Callable[[float], None]
    ) -> None:
        storage.add(a_job())
        later(HOUR + 60)
        storage.add(a_job(), limits=Limits(per_hour=1))

    # -- limits.bytes

    def test_limits_bytes_adds_up_uploads_and_results(self, storage: Storage) -> None:
        storage.add(a_job_of_bytes(600, 300, phase=Phase.COMPLETED))
        storage.add(a_job_of_bytes(100), limits=Limits(bytes=1000))
        with pytest.raises(LimitReached):
            storage.add(a_job_of_bytes(1), limits=Limits(bytes=1000))

    def test_limits_bytes_counts_until_a_job_is_removed(self, storage: Storage) -> None:
        job = storage.add(a_job_of_bytes(1000))
        storage.delete(job.id, expected=1)
        storage.add(a_job_of_bytes(1000), limits=Limits(bytes=1000))

    def test_limits_bytes_counts_an_upload_of_a_job_once(self, storage: Storage) -> None:
        job = a_job_of_bytes(600)
        twice = replace(job, parameters=job.parameters * 2)
        storage.add(twice, limits=Limits(bytes=1000))
        storage.add(a_job_of_bytes(400), limits=Limits(bytes=1000))

    # -- all of them

    @pytest.mark.parametrize("limits", [Limits(active=1), Limits(per_hour=1), Limits(bytes=10)])
    def test_limits_count_doomed_jobs_until_they_are_removed(
        self, storage: Storage, limits: Limits
    ) -> None:
        storage.add(a_job_of_bytes(10, phase=Phase.QUEUED, marks=DOOMED))
        with pytest.raises(LimitReached):
            storage.add(a_job_of_bytes(10, phase=Phase.QUEUED), limits=limits)

    @pytest.mark.parametrize("limits", [Limits(active=1), Limits(per_hour=1), Limits(bytes=10)])
    def test_a_limit_is_of_one_quota_key(self, storage: Storage, limits: Limits) -> None:
        storage.add(a_job_of_bytes(10, phase=Phase.QUEUED), limits=limits)
        storage.add(a_job_of_bytes(10, phase=Phase.QUEUED, quota_key="user:bob"), limits=limits)

    @pytest.mark.parametrize("limits", [Limits(active=13), Limits(per_hour=13), Limits(bytes=13)])
    def test_the_limit_stands_in_the_sentence(self, storage: Storage, limits: Limits) -> None:
        for _ in range(13):
            storage.add(a_job_of_bytes(1, phase=Phase.QUEUED))
        with pytest.raises(LimitReached) as refusal:
            storage.add(a_job_of_bytes(1, phase=Phase.QUEUED), limits=limits)
        assert "13" in refusal.value.sentence

    def test_no_limit_is_any_number(self, storage: Storage) -> None:
        for limits in (None, Limits()):
            for _ in range(3):
                storage.add(a_job_of_bytes(10**12, phase=Phase.QUEUED), limits=limits)

    def test_a_job_refused_by_a_limit_leaves_nothing_behind(self, storage: Storage) -> None:
        storage.add(a_job(phase=Phase.QUEUED))
        newest = storage.changes(-1)[0]
        job = a_job(phase=Phase.QUEUED, idempotency=KEY)
        with pytest.raises(LimitReached):
            storage.add(job, limits=Limits(active=1))
        with pytest.raises(UnknownJob):
            storage.read(job.id)
        assert storage.changes(newest) == (newest, []), "the journal tells of it"
        storage.add(replace(job, phase=Phase.PENDING), limits=Limits(per_hour=2))

    def test_a_job_refused_for_its_id_or_key_leaves_nothing_behind(self, storage: Storage) -> None:
        there = storage.add(a_job_of_bytes(10, idempotency=KEY))
        newest = storage.changes(-1)[0]
        again, taken = a_job_of_bytes(10, idempotency=KEY), a_job(id=there.id, idempotency=ANOTHER)
        with pytest.raises(AlreadyAdded):
            storage.add(again)
        with pytest.raises(JobExists):
            storage.add(taken)
        assert storage.changes(newest) == (newest, []), "the journal tells of it"
        with pytest.raises(UnknownJob):
            storage.read(again.id)
        # Neither the hour nor the key of the refused knows of it, nor are its bytes counted.
        storage.add(a_job_of_bytes(10, idempotency=ANOTHER), limits=Limits(per_hour=2, bytes=20))

    def test_the_errors_of_add_are_looked_for_in_order(self, storage: Storage) -> None:
        there = storage.add(a_job(phase=Phase.QUEUED, idempotency=KEY))
        limits = Limits(active=1)
        another = a_job(phase=Phase.QUEUED)
        with pytest.raises(AlreadyAdded):
            storage.add(replace(another, id=there.id, idempotency=KEY), limits=limits)
        with pytest.raises(JobExists):
            storage.add(replace(another, id=there.id), limits=limits)
        with pytest.raises(LimitReached):
            storage.add(another, limits=limits)

    # -- limits of save

    def test_save_asks_the_limits(self, storage: Storage) -> None:
        storage.add(a_running_job())
        job = storage.add(a_job())
        with pytest.raises(LimitReached):
            storage.save(replace(job, phase=Phase.QUEUED), expected=1, limits=Limits(active=1))
        assert storage.read(job.id) == job, "a refused save has changed the job"

    def test_save_asks_the_limit_of_bytes(self, storage: Storage) -> None:
        storage.add(a_job_of_bytes(600))
        job = storage.add(a_job())
        larger = replace(a_job_of_bytes(0, 401), id=job.id)
        with pytest.raises(LimitReached):
            storage.save(larger, expected=1, limits=Limits(bytes=1000))
        assert storage.read(job.id) == job, "a refused save has changed the job"
        fits = replace(a_job_of_bytes(0, 400), id=job.id)
        assert storage.save(fits, expected=1, limits=Limits(bytes=1000)).version == 2

    def test_save_leaves_the_job_itself_out_of_the_count(self, storage: Storage) -> None:
        job = storage.add(a_job_of_bytes(10, phase=Phase.QUEUED))
        limits = Limits(active=1, per_hour=1, bytes=10)
        executing = replace(job, phase=Phase.EXECUTING)
        assert storage.save(executing, expected=1, limits=limits).version == 2

    def test_save_asks_no_limit_of_creations(self, storage: Storage) -> None:
        job = storage.add(a_job())
        storage.add(a_job())
        saved = storage.save(
            replace(job, phase=Phase.QUEUED), expected=1, limits=Limits(per_hour=1)
        )
        assert saved.version == 2

    # -- Idempotency-Key

    def test_a_repeated_request_names_the_first_job(self, storage: Storage) -> None:
        first = storage.add(a_job(idempotency=KEY))
        with pytest.raises(AlreadyAdded) as refusal:
            storage.add(a_job(idempotency=KEY))
        assert refusal.value.job_id == first.id

    def test_a_repeated_request_is_told_from_another_body(self, storage: Storage) -> None:
        storage.add(a_job(idempotency=KEY))
        for again, same in ((KEY, True), (OTHER_BODY, False)):
            with pytest.raises(AlreadyAdded) as refusal:
                storage.add(a_job(idempotency=again))
            assert refusal.value.same_body is same

    def test_a_key_belongs_to_one_quota_key(self, storage: Storage) -> None:
        storage.add(a_job(idempotency=KEY))
        storage.add(a_job(idempotency=KEY, quota_key="user:bob"))

    def test_a_key_outlives_its_job(self, storage: Storage) -> None:
        first = storage.add(a_job(idempotency=KEY))
        storage.delete(first.id, expected=1)
        with pytest.raises(AlreadyAdded):
            storage.add(a_job(idempotency=KEY))

    def test_a_key_lasts_24_hours(self, storage: Storage, later: Callable[[float], None]) -> None:
        storage.add(a_job(idempotency=KEY))
        later(23 * HOUR)
        with pytest.raises(AlreadyAdded):
            storage.add(a_job(idempotency=KEY))

    def test_a_key_is_free_after_24_hours(
        self, storage: Storage, later: Callable[[float], None]
    ) -> None:
        storage.add(a_job(idempotency=KEY))
        later(24 * HOUR + 60)
        storage.add(a_job(idempotency=KEY))

    def test_a_repeated_request_is_no_new_job_for_the_limits(self, storage: Storage) -> None:
        storage.add(a_job(phase=Phase.QUEUED, idempotency=KEY))
        with pytest.raises(AlreadyAdded):
            storage.add(a_job(phase=Phase.QUEUED, idempotency=KEY), limits=Limits(active=1))

    def test_one_of_two_requests_with_one_key_makes_a_job(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        stores = (storage, instances.open())
        for number in range(5):
            key = Idempotency(key=f"race {number}", body="a" * 64)
            outcomes = race(*(partial(stores[n % 2].add, a_job(idempotency=key)) for n in range(4)))
            added = [one for one in outcomes if isinstance(one, Job)]
            refused = [one for one in outcomes if isinstance(one, AlreadyAdded)]
            assert (len(added), len(refused)) == (1, 3), outcomes
            assert {one.job_id for one in refused} == {added[0].id}
