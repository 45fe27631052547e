"""Storages with one promise broken each, about what is due, live or past its time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from core.saboteurs import storages
from core.saboteurs.registry import breaks
from core.saboteurs.storages import Saboteur
from opus_core.job import Phase, Work, now
from opus_core.testing.storage_queue import QueuePromises

fixtures = storages.fixtures


class Due(Saboteur):
    """Shorthand: change when a job is due, after the fact."""

    def put_due(self, job_id, due):
        self.universe.rows[job_id].due = due


# --- todo ---


@breaks(
    QueuePromises,
    "test_a_new_job_that_needs_the_supervisor_is_due_at_once",
    more="many tests add a job that is due",
)
class NewJobsWait(Due):
    def add(self, job, *, limits=None):
        added = super().add(job, limits=limits)
        self.put_due(job.id, None)
        return added


@breaks(QueuePromises, "test_a_new_job_that_needs_no_supervisor_is_never_due")
class EveryNewJobIsDue(Due):
    def add(self, job, *, limits=None):
        added = super().add(job, limits=limits)
        self.put_due(job.id, self.universe.now())
        return added


@breaks(QueuePromises, "test_doomed_jobs_are_due_too")
class DoomedAreNeverDue(Saboteur):
    def todo(self, limit, exclude=()):
        return [job for job in super().todo(limit, exclude) if not job.doomed]


@breaks(
    QueuePromises,
    "test_save_makes_a_job_due_at_once",
    "test_doomed_jobs_are_due_too",
)
class SaveLeavesItForLater(Saboteur):
    def save(self, job, *, due=3600.0, **how):
        return super().save(job, due=due, **how)


@breaks(QueuePromises, "test_save_can_put_a_job_off")
class NothingIsPutOff(Saboteur):
    def save(self, job, *, due=0.0, **how):
        return super().save(job, due=0.0 if due == 3600 else due, **how)


@breaks(
    QueuePromises,
    "test_a_job_saved_without_due_is_not_due",
    more="whoever pokes a job first puts it off for good",
)
class NoneIsAtOnce(Saboteur):
    def save(self, job, *, due=0.0, **how):
        return super().save(job, due=due or 0.0, **how)


@breaks(QueuePromises, "test_a_job_that_no_longer_needs_the_supervisor_is_not_due")
class DueForEver(Due):
    def save(self, job, *, due=0.0, **how):
        saved = super().save(job, due=due, **how)
        if due is not None:
            self.put_due(job.id, self.universe.now() + timedelta(seconds=due))
        return saved


@breaks(
    QueuePromises,
    "test_a_listed_job_stays_due_until_it_is_saved",
    more="a list is looked at more than once",
)
class ListingTakesAway(Due):
    def todo(self, limit, exclude=()):
        found = super().todo(limit, exclude)
        for job in found:
            self.put_due(job.id, None)
        return found


@breaks(QueuePromises, "test_a_poked_job_is_listed_until_the_pokes_are_taken")
class PokesAreOverlooked(Saboteur):
    def todo(self, limit, exclude=()):
        unpoked = self.universe.rows.values()
        return [
            job
            for job in super().todo(limit, exclude)
            if any(row.job.id == job.id and "event" not in row.pokes for row in unpoked)
        ]


@breaks(QueuePromises, "test_the_oldest_due_comes_first")
class InOrderOfCreation(Saboteur):
    def todo(self, limit, exclude=()):
        found = super().todo(10**6, exclude)
        return sorted(found, key=lambda job: list(self.universe.rows).index(job.id))[:limit]


@breaks(
    QueuePromises,
    "test_todo_lists_no_more_than_its_limit",
    "test_the_oldest_due_comes_first",
)
class ListsWithoutLimit(Saboteur):
    def todo(self, limit, exclude=()):
        return super().todo(10**6, exclude)


@breaks(QueuePromises, "test_todo_leaves_out_what_is_excluded")
class ExcludesAfterTheLimit(Saboteur):
    def todo(self, limit, exclude=()):
        return [job for job in super().todo(limit) if job.id not in exclude]


@breaks(QueuePromises, "test_what_is_due_survives_a_restart")
class ForgetsWhatIsDue(Due):
    def close(self):
        for row in self.universe.rows.values():
            row.due = None


@breaks(QueuePromises, "test_what_is_due_survives_a_restart")
class ForgetsPokes(Due):
    def close(self):
        for row in self.universe.rows.values():
            row.pokes.clear()


# --- live ---


@breaks(QueuePromises, "test_live_is_one_for_each_native_id")
class LiveOncePerJob(Saboteur):
    def live(self):
        return iter({one.id: one for one in super().live()}.values())


@breaks(QueuePromises, "test_live_is_one_for_each_native_id")
class LiveWithoutSubmission(Saboteur):
    def live(self):
        return (replace(one, ref=replace(one.ref, submitted_at=None)) for one in super().live())


@breaks(QueuePromises, "test_live_is_as_the_last_save_left_it")
class LiveAsItWasFirst(Saboteur):
    def live(self):
        listed = list(super().live())
        kept = vars(self.universe).setdefault("listed", {})
        return (kept.setdefault((one.id, one.ref), one) for one in listed)


@breaks(QueuePromises, "test_only_jobs_whose_work_is_live_are_live")
class StartingIsLive(Saboteur):
    def live(self):
        def alive(job):
            return replace(job, work=Work.LIVE) if job.work is Work.STARTING else job

        with self.pretending(alive):
            return iter(list(super().live()))


@breaks(QueuePromises, "test_doomed_jobs_are_live_too")
class DoomedAreNotLive(Saboteur):
    def live(self):
        return (one for one in super().live() if not self.stored(one.id).doomed)


# --- expired ---


@breaks(QueuePromises, "test_expired_are_jobs_past_their_destruction")
class ExpiresTheEternal(Saboteur):
    def expired(self, limit):
        eternal = [
            (row.job.id, row.job.version)
            for row in self.universe.rows.values()
            if row.job.destruction is None
        ]
        return [*super().expired(limit), *eternal]


@breaks(QueuePromises, "test_expired_are_jobs_past_their_destruction")
class ExpiresTheFirstVersion(Saboteur):
    def expired(self, limit):
        return [(job_id, 1) for job_id, _ in super().expired(limit)]


@breaks(QueuePromises, "test_those_past_it_longest_come_first")
class ExpiresInAnyOrder(Saboteur):
    def expired(self, limit):
        return super().expired(10**6)[::-1][:limit]


@breaks(QueuePromises, "test_doomed_jobs_do_not_expire_again")
class ExpiresTheDoomed(Saboteur):
    def expired(self, limit):
        with self.pretending(lambda job: replace(job, marks=frozenset())):
            return super().expired(limit)


@breaks(QueuePromises, "test_archived_jobs_do_not_expire_again")
class ExpiresTheArchived(Saboteur):
    def expired(self, limit):
        with self.pretending(lambda job: replace(job, phase=Phase.COMPLETED)):
            return super().expired(limit)


@breaks(QueuePromises, "test_a_job_expires_by_the_clock_of_the_storage")
class ExpiresByItsOwnClock(Saboteur):
    def expired(self, limit):
        with self.pretending(
            lambda job: job if job.destruction and job.destruction < now() else None
        ):
            return super().expired(limit)


@breaks(QueuePromises, "test_todo_reaches_jobs_of_any_size", says="but one at least")
class ListsNothingLarge(Saboteur):
    def todo(self, limit, exclude=()):
        found = super().todo(limit, exclude)
        return [job for job in found if sum(len(one.value) for one in job.parameters) < 2**20]
