"""Storages with one promise broken each, about quotas and Idempotency-Keys."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

from core.saboteurs import storages
from core.saboteurs.registry import breaks
from core.saboteurs.storages import MOMENT, Saboteur
from opus_core.backends import Limits
from opus_core.errors import AlreadyAdded, JobExists, LimitReached
from opus_core.job import Parameter, Phase, new_id
from opus_core.testing.storage_limits import LimitPromises

fixtures = storages.fixtures


@breaks(LimitPromises, "test_limits_active_counts_jobs_in_an_active_phase")
class OverlooksHeld(Saboteur):
    def _check_limits(self, job, limits, now):
        with self.pretending(lambda one: None if one.phase is Phase.HELD else one):
            super()._check_limits(job, limits, now)


@breaks(LimitPromises, "test_limits_active_counts_no_other_phase")
class CountsPending(Saboteur):
    def _check_limits(self, job, limits, now):
        def active(one):
            return replace(one, phase=Phase.QUEUED) if one.phase is Phase.PENDING else one

        with self.pretending(active):
            super()._check_limits(job, limits, now)


@breaks(LimitPromises, "test_limits_active_is_not_asked_for_a_job_that_is_not_active")
class AsksAlways(Saboteur):
    def _check_limits(self, job, limits, now):
        super()._check_limits(replace(job, phase=Phase.QUEUED), limits, now)


@breaks(LimitPromises, "test_limits_active_holds_against_jobs_added_at_once")
class CountsFirst(Saboteur):
    def add(self, job, *, limits=None):
        now = self.universe.now()
        self._check_key(job, now)
        self._check_limits(job, limits, now)
        time.sleep(MOMENT)
        return super().add(job)


@breaks(
    LimitPromises,
    "test_limits_per_hour_counts_what_was_created",
    "test_limits_per_hour_counts_deleted_jobs",
    "test_the_limit_stands_in_the_sentence",
    "test_limits_count_doomed_jobs_until_they_are_removed",
)
class NoHourlyLimit(Saboteur):
    def _check_limits(self, job, limits, now):
        super()._check_limits(job, limits and replace(limits, per_hour=None), now)


@breaks(LimitPromises, "test_limits_per_hour_counts_deleted_jobs")
class HourForgetsTheDeleted(Saboteur):
    def delete(self, job_id, *, expected):
        super().delete(job_id, expected=expected)
        self.universe.created.pop()


@breaks(LimitPromises, "test_limits_per_hour_forgets_after_an_hour")
class HourWithoutEnd(Saboteur):
    def _check_limits(self, job, limits, now):
        self.universe.created = [(key, now) for key, _ in self.universe.created]
        super()._check_limits(job, limits, now)


@breaks(LimitPromises, "test_limits_bytes_adds_up_uploads_and_results")
class WeighsUploadsAlone(Saboteur):
    def _check_limits(self, job, limits, now):
        with self.pretending(lambda one: replace(one, results=())):
            super()._check_limits(job, limits, now)


@breaks(LimitPromises, "test_limits_bytes_counts_until_a_job_is_removed")
class WeighsTheDeleted(Saboteur):
    ghosts = 0

    def delete(self, job_id, *, expected):
        self.ghosts += self.stored(job_id).bytes
        super().delete(job_id, expected=expected)

    def _check_limits(self, job, limits, now):
        if limits and limits.bytes is not None:
            limits = replace(limits, bytes=limits.bytes - self.ghosts)
        super()._check_limits(job, limits, now)


@breaks(LimitPromises, "test_a_limit_is_of_one_quota_key")
class CountsEverybody(Saboteur):
    def _check_limits(self, job, limits, now):
        with self.pretending(lambda one: replace(one, quota_key=job.quota_key)):
            super()._check_limits(job, limits, now)


@breaks(LimitPromises, "test_the_limit_stands_in_the_sentence")
class RefusesVaguely(Saboteur):
    def _check_limits(self, job, limits, now):
        try:
            super()._check_limits(job, limits, now)
        except LimitReached:
            raise LimitReached("that is too much") from None


@breaks(LimitPromises, "test_no_limit_is_any_number")
class LimitOfItsOwn(Saboteur):
    def add(self, job, *, limits=None):
        return super().add(job, limits=limits or Limits(bytes=2 * 10**12))


@breaks(LimitPromises, "test_a_job_refused_by_a_limit_leaves_nothing_behind")
class CountsTheRefused(Saboteur):
    def add(self, job, *, limits=None):
        try:
            return super().add(job, limits=limits)
        except LimitReached:
            self.universe.created.append((job.quota_key, self.universe.now()))
            raise


@breaks(LimitPromises, "test_a_job_refused_by_a_limit_leaves_nothing_behind")
class JournalsTheRefused(Saboteur):
    def add(self, job, *, limits=None):
        try:
            return super().add(job, limits=limits)
        except LimitReached:
            self.write(job, None, job.phase)
            raise


@breaks(LimitPromises, "test_the_errors_of_add_are_looked_for_in_order")
class LimitsBeforeIds(Saboteur):
    def add(self, job, *, limits=None):
        with self.universe.changed:
            self._check_key(job, self.universe.now())
            self._check_limits(replace(job, id=new_id()), limits, self.universe.now())
            return super().add(job, limits=limits)


@breaks(LimitPromises, "test_the_errors_of_add_are_looked_for_in_order")
class IdsBeforeKeys(Saboteur):
    def add(self, job, *, limits=None):
        if self.stored(job.id):
            raise JobExists("taken")
        return super().add(job, limits=limits)


@breaks(LimitPromises, "test_save_asks_no_limit_of_creations")
class SavesAreCreations(Saboteur):
    def save(self, job, *, limits=None, **how):
        made = sum(key == job.quota_key for key, _ in self.universe.created)
        if limits and limits.per_hour is not None and made > limits.per_hour:
            raise LimitReached(f"{limits.per_hour} jobs an hour")
        return super().save(job, limits=limits, **how)


@breaks(LimitPromises, "test_save_asks_the_limits", "test_save_asks_the_limit_of_bytes")
class SaveAsksNoLimit(Saboteur):
    def save(self, job, *, limits=None, **how):
        return super().save(job, **how)


@breaks(
    LimitPromises,
    "test_save_leaves_the_job_itself_out_of_the_count",
    "test_save_asks_no_limit_of_creations",
)
class SaveCountsItselfTwice(Saboteur):
    def _check_limits(self, job, limits, now):
        super()._check_limits(replace(job, id=new_id()), limits, now)


@breaks(
    LimitPromises,
    "test_a_repeated_request_names_the_first_job",
    "test_one_of_two_requests_with_one_key_makes_a_job",
)
class NamesTheSecondJob(Saboteur):
    def _check_key(self, job, now):
        try:
            super()._check_key(job, now)
        except AlreadyAdded as refusal:
            raise AlreadyAdded(job.id, same_body=refusal.same_body) from None


@breaks(LimitPromises, "test_a_repeated_request_is_told_from_another_body")
class EveryBodyIsTheSame(Saboteur):
    def _check_key(self, job, now):
        try:
            super()._check_key(job, now)
        except AlreadyAdded as refusal:
            raise AlreadyAdded(refusal.job_id, same_body=True) from None


@breaks(LimitPromises, "test_a_key_belongs_to_one_quota_key")
class KeysOfAll(Saboteur):
    def _check_key(self, job, now):
        for quota_key, key in list(self.universe.keys):
            if job.idempotency and key == job.idempotency.key:
                super()._check_key(replace(job, quota_key=quota_key), now)


@breaks(LimitPromises, "test_a_key_outlives_its_job")
class KeysDieWithTheirJob(Saboteur):
    def delete(self, job_id, *, expected):
        super().delete(job_id, expected=expected)
        keys = self.universe.keys.items()
        self.universe.keys = {key: used for key, used in keys if used.job_id != job_id}


@breaks(LimitPromises, "test_a_key_lasts_24_hours")
class KeysForHalfADay(Saboteur):
    def _check_key(self, job, now):
        super()._check_key(job, now + timedelta(hours=12))


@breaks(LimitPromises, "test_a_key_is_free_after_24_hours")
class KeysForEver(Saboteur):
    def _check_key(self, job, now):
        super()._check_key(job, now - timedelta(days=999))


@breaks(LimitPromises, "test_a_repeated_request_is_no_new_job_for_the_limits")
class LimitsBeforeKeys(Saboteur):
    def add(self, job, *, limits=None):
        self._check_limits(job, limits, self.universe.now())
        return super().add(job, limits=limits)


@breaks(LimitPromises, "test_one_of_two_requests_with_one_key_makes_a_job")
class LooksForTheKeyFirst(Saboteur):
    def add(self, job, *, limits=None):
        self._check_key(job, self.universe.now())
        time.sleep(MOMENT)
        with self.universe.changed:
            if job.idempotency:
                self.universe.keys.pop((job.quota_key, job.idempotency.key), None)
            return super().add(job, limits=limits)


@breaks(LimitPromises, "test_limits_bytes_counts_an_upload_of_a_job_once")
class CountsEveryParameter(Saboteur):
    def _check_limits(self, job, limits, now):
        def twice(one):
            uploads = [parameter.upload for parameter in one.parameters if parameter.upload]
            apart = tuple(
                Parameter(name="x", upload=replace(upload, sha256=f"{number:064}"))
                for number, upload in enumerate(uploads)
            )
            return replace(one, parameters=apart)

        with self.pretending(twice):
            super()._check_limits(twice(job), limits, now)


@breaks(LimitPromises, "test_limits_count_doomed_jobs_until_they_are_removed")
class OverlooksTheDoomed(Saboteur):
    def _check_limits(self, job, limits, now):
        with self.pretending(lambda one: None if one.doomed else one):
            super()._check_limits(job, limits, now)


@breaks(LimitPromises, "test_a_job_refused_for_its_id_or_key_leaves_nothing_behind")
class CountsTheRepeated(Saboteur):
    def add(self, job, *, limits=None):
        try:
            return super().add(job, limits=limits)
        except (JobExists, AlreadyAdded):
            self.universe.created.append((job.quota_key, self.universe.now()))
            raise


@breaks(
    LimitPromises,
    "test_a_job_refused_for_its_id_or_key_leaves_nothing_behind",
    says="the journal tells of it",
)
class JournalsTheRepeated(Saboteur):
    def add(self, job, *, limits=None):
        try:
            return super().add(job, limits=limits)
        except AlreadyAdded:
            self.write(job, None, job.phase)
            raise


@breaks(LimitPromises, "test_save_asks_the_limit_of_bytes")
class SavesAnyBytes(Saboteur):
    def save(self, job, *, limits=None, **how):
        return super().save(job, limits=limits and replace(limits, bytes=None), **how)
