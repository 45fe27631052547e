"""Promises of `Storage` to the supervisor: what is due, live or past its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from opus_core.backends import Live, Ref, Storage
from opus_core.job import Parameter, Phase, Work, now
from opus_core.testing.backend import Instances
from opus_core.testing.samples import DOOMED, LONG_AGO, a_job, a_running_job
from opus_core.testing.storage_kit import Soon, StorageKit

ALL = 1000


class QueuePromises(StorageKit):
    """The supervisor finds every job it has to look at, and no other."""

    # -- todo

    def test_a_new_job_that_needs_the_supervisor_is_due_at_once(self, storage: Storage) -> None:
        wanted = storage.add(a_job(phase=Phase.QUEUED, work=Work.WANTED))
        assert storage.todo(ALL) == [wanted]

    def test_a_new_job_that_needs_no_supervisor_is_never_due(self, storage: Storage) -> None:
        storage.add(a_job())
        storage.add(a_job(phase=Phase.COMPLETED, work=Work.RELEASED))
        assert storage.todo(ALL) == []

    def test_doomed_jobs_are_due_too(self, storage: Storage) -> None:
        job = storage.add(a_job())
        doomed = storage.save(replace(job, marks=DOOMED), expected=1)
        assert storage.todo(ALL) == [doomed]

    def test_save_makes_a_job_due_at_once(self, storage: Storage) -> None:
        job = storage.add(a_job())
        wanted = storage.save(replace(job, work=Work.WANTED), expected=1)
        assert storage.todo(ALL) == [wanted]

    def test_save_can_put_a_job_off(self, storage: Storage, soon: Soon) -> None:
        job = storage.add(a_running_job())
        storage.save(job, expected=1, due=3600)
        assert storage.todo(ALL) == []
        storage.save(job, expected=2, due=0.05)
        soon(lambda: storage.todo(ALL), "a job saved with due=0.05 is due")

    def test_a_job_saved_without_due_is_not_due(self, storage: Storage) -> None:
        job = storage.add(a_running_job())
        storage.save(job, expected=1, due=None)
        assert storage.todo(ALL) == []

    def test_a_job_that_no_longer_needs_the_supervisor_is_not_due(self, storage: Storage) -> None:
        job = storage.add(a_running_job())
        storage.save(replace(job, work=Work.RELEASED), expected=1, due=0.0)
        assert storage.todo(ALL) == []

    def test_a_listed_job_stays_due_until_it_is_saved(self, storage: Storage) -> None:
        job = storage.add(a_running_job())
        for _ in range(3):
            assert storage.todo(ALL) == [job]

    def test_a_poked_job_is_listed_until_the_pokes_are_taken(self, storage: Storage) -> None:
        job = storage.add(a_running_job())
        job = storage.save(job, expected=1, due=None)
        storage.poke("event", job_id=job.id)
        for _ in range(2):
            assert storage.todo(ALL) == [job]
        storage.take_pokes(job.id)
        assert storage.todo(ALL) == []

    def test_the_oldest_due_comes_first(self, storage: Storage, soon: Soon) -> None:
        jobs = [storage.add(a_running_job()) for _ in range(3)]
        for job, due in zip(jobs, (0.2, 0.3, 0.1), strict=True):
            storage.save(job, expected=1, due=due)
        soon(lambda: len(storage.todo(ALL)) == 3, "three jobs are due")
        oldest = [jobs[2].id, jobs[0].id, jobs[1].id]
        assert [job.id for job in storage.todo(ALL)] == oldest
        assert [job.id for job in storage.todo(2)] == oldest[:2]

    def test_todo_lists_no_more_than_its_limit(self, storage: Storage) -> None:
        for _ in range(3):
            storage.add(a_running_job())
        assert len(storage.todo(2)) == 2

    def test_todo_reaches_jobs_of_any_size(self, storage: Storage) -> None:
        large = (Parameter(name="x", value="x" * 3_000_000),)
        jobs = {storage.add(a_running_job(parameters=large)).id for _ in range(5)}
        seen: set[str] = set()
        while len(seen) < len(jobs):
            found = storage.todo(ALL, seen)
            assert found, "of large jobs it may list fewer than there are, but one at least"
            assert seen.isdisjoint(job.id for job in found), "listed, although it was excluded"
            seen |= {job.id for job in found}
        assert seen == jobs

    def test_todo_leaves_out_what_is_excluded(self, storage: Storage) -> None:
        jobs = [storage.add(a_running_job()) for _ in range(4)]
        excluded = {jobs[0].id, jobs[1].id, jobs[3].id}
        assert [job.id for job in storage.todo(1, excluded)] == [jobs[2].id]

    def test_what_is_due_survives_a_restart(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        due = storage.add(a_running_job())
        poked = storage.save(storage.add(a_running_job()), expected=1, due=None)
        storage.poke("output", job_id=poked.id)
        again = instances.restart(storage)
        assert {job.id for job in again.todo(ALL)} == {due.id, poked.id}
        assert again.take_pokes(poked.id) == {"output"}

    # -- live

    def test_live_is_one_for_each_native_id(self, storage: Storage) -> None:
        job = storage.add(a_running_job(native_ids=("7", "8")))
        assert sorted(storage.live(), key=lambda live: live.ref.native_id or "") == [
            Live(
                id=job.id,
                ref=Ref(tag=job.tag or "", native_id=native_id, submitted_at=LONG_AGO),
                phase=Phase.EXECUTING,
                work=Work.LIVE,
                version=1,
            )
            for native_id in ("7", "8")
        ]

    def test_live_is_as_the_last_save_left_it(self, storage: Storage) -> None:
        job = storage.add(a_running_job(native_ids=("7",)))
        before = list(storage.live())
        assert [(live.phase, live.ref.native_id) for live in before] == [(Phase.EXECUTING, "7")]
        storage.save(replace(job, phase=Phase.SUSPENDED, native_ids=("7", "8")), expected=1)
        assert {(live.phase, live.ref.native_id, live.version) for live in storage.live()} == {
            (Phase.SUSPENDED, "7", 2),
            (Phase.SUSPENDED, "8", 2),
        }
        storage.save(replace(job, work=Work.ENDED), expected=2)
        assert list(storage.live()) == []

    def test_only_jobs_whose_work_is_live_are_live(self, storage: Storage) -> None:
        jobs = {work: storage.add(a_running_job(work=work)) for work in Work}
        assert [live.id for live in storage.live()] == [jobs[Work.LIVE].id]

    def test_doomed_jobs_are_live_too(self, storage: Storage) -> None:
        job = storage.add(a_running_job(marks=DOOMED))
        assert [live.id for live in storage.live()] == [job.id]

    # -- expired

    def test_expired_are_jobs_past_their_destruction(self, storage: Storage) -> None:
        job = storage.add(a_job(destruction=LONG_AGO))
        storage.add(a_job(destruction=now() + timedelta(days=1)))
        storage.add(a_job(destruction=None))
        saved = storage.save(job, expected=1)
        assert storage.expired(ALL) == [(job.id, saved.version)]

    def test_those_past_it_longest_come_first(self, storage: Storage) -> None:
        jobs = [
            storage.add(a_job(destruction=LONG_AGO + timedelta(days=days))) for days in (2, 0, 1)
        ]
        oldest = [(jobs[1].id, 1), (jobs[2].id, 1), (jobs[0].id, 1)]
        assert storage.expired(ALL) == oldest
        assert storage.expired(2) == oldest[:2]

    def test_doomed_jobs_do_not_expire_again(self, storage: Storage) -> None:
        storage.add(a_job(destruction=LONG_AGO, marks=DOOMED))
        assert storage.expired(ALL) == []

    def test_archived_jobs_do_not_expire_again(self, storage: Storage) -> None:
        storage.add(a_job(destruction=LONG_AGO, phase=Phase.ARCHIVED))
        assert storage.expired(ALL) == []

    def test_a_job_expires_by_the_clock_of_the_storage(
        self, storage: Storage, later: Callable[[float], None]
    ) -> None:
        job = storage.add(a_job(destruction=now() + timedelta(days=1)))
        later(2 * 86_400)
        assert storage.expired(ALL) == [(job.id, 1)]
