"""Promises of `Storage` about the journal of changes: complete, in commit order, kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import chain

import pytest

from opus_core.backends import Storage
from opus_core.errors import Conflict, Gap
from opus_core.job import ANYONE, Anyone, Change, DefinitionRef, Phase, Work, new_id, now
from opus_core.testing.backend import Instances
from opus_core.testing.samples import DOOMED, a_job, a_running_job
from opus_core.testing.storage_kit import StorageKit
from opus_core.testing.timing import PATIENCE, together

DAY = 86_400.0


class JournalPromises(StorageKit):
    """Who asks again with the number it was given misses nothing and sees nothing twice."""

    # -- what is written

    def test_add_writes_an_entry_whose_old_phase_is_none(self, storage: Storage) -> None:
        job = storage.add(
            a_job(
                definition=DefinitionRef("fits", 3),
                owner=None,
                run_id="run 'é",
                phase=Phase.QUEUED,
                work=Work.WANTED,
            )
        )
        (change,) = storage.changes(0)[1]
        assert change == Change(
            seq=change.seq,
            job_id=job.id,
            definition=DefinitionRef("fits", 3),
            owner=None,
            run_id="run 'é",
            old=None,
            new=Phase.QUEUED,
            time=change.time,
        )

    def test_a_change_of_phase_writes_an_entry(self, storage: Storage) -> None:
        job = storage.add(a_job())
        newest = storage.changes(-1)[0]
        storage.save(replace(job, phase=Phase.QUEUED), expected=1)
        assert _steps(storage, newest) == [(job.id, Phase.PENDING, Phase.QUEUED)]

    def test_a_save_that_keeps_the_phase_writes_no_entry(self, storage: Storage) -> None:
        job = storage.add(a_job())
        newest = storage.changes(-1)[0]
        storage.save(replace(job, run_id="mine", work=Work.WANTED), expected=1)
        assert storage.changes(newest) == (newest, [])

    def test_the_mark_doomed_writes_an_entry_whose_new_phase_is_none(
        self, storage: Storage
    ) -> None:
        job = storage.add(a_job())
        newest = storage.changes(-1)[0]
        storage.save(replace(job, marks=DOOMED), expected=1)
        assert _steps(storage, newest) == [(job.id, Phase.PENDING, None)]

    def test_a_change_of_phase_and_the_mark_doomed_are_two_entries_in_this_order(
        self, storage: Storage
    ) -> None:
        job = storage.add(a_job())
        newest = storage.changes(-1)[0]
        storage.save(replace(job, phase=Phase.ABORTED, marks=DOOMED), expected=1)
        assert _steps(storage, newest) == [
            (job.id, Phase.PENDING, Phase.ABORTED),
            (job.id, Phase.ABORTED, None),
        ]

    def test_a_job_is_doomed_once(self, storage: Storage) -> None:
        job = storage.add(a_running_job())
        doomed = storage.save(replace(job, marks=DOOMED), expected=1)
        newest = storage.changes(-1)[0]
        storage.save(replace(doomed, work=Work.ENDED), expected=2)
        assert storage.changes(newest) == (newest, [])

    def test_a_refused_save_writes_no_entry(self, storage: Storage) -> None:
        job = storage.add(a_job())
        newest = storage.changes(-1)[0]
        with pytest.raises(Conflict):
            storage.save(replace(job, phase=Phase.QUEUED), expected=7)
        assert storage.changes(newest) == (newest, [])

    def test_the_time_of_an_entry_is_when_it_was_written(self, storage: Storage) -> None:
        before = now()
        storage.add(a_job())
        (change,) = storage.changes(0)[1]
        assert change.time.utcoffset() == timedelta(0), "not in UTC"
        # The store may lie on another host: its clock is only roughly this one's.
        assert abs(change.time - before) < timedelta(minutes=5)

    def test_the_journal_keeps_deleted_jobs(self, storage: Storage) -> None:
        job = storage.add(a_job())
        storage.delete(job.id, expected=1)
        assert _steps(storage, 0)[0] == (job.id, None, Phase.PENDING)

    def test_the_journal_survives_a_restart(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        storage.add(a_job())
        seen = storage.changes(0)
        again = instances.restart(storage)
        assert again.changes(0) == seen
        job = again.add(a_job())
        assert _steps(again, seen[0]) == [(job.id, None, Phase.PENDING)]

    # -- how it is read

    def test_entries_come_oldest_first_with_growing_numbers(self, storage: Storage) -> None:
        job = storage.add(a_job())
        for version, phase in enumerate((Phase.QUEUED, Phase.EXECUTING, Phase.COMPLETED), 1):
            storage.save(replace(job, phase=phase), expected=version)
        newest, changes = storage.changes(0)
        assert [change.new for change in changes] == [
            Phase.PENDING,
            Phase.QUEUED,
            Phase.EXECUTING,
            Phase.COMPLETED,
        ]
        numbers = [change.seq for change in changes]
        assert sorted(set(numbers)) == numbers
        assert newest == numbers[-1]

    def test_only_entries_behind_the_number_are_listed(self, storage: Storage) -> None:
        storage.add(a_job())
        newest = storage.changes(0)[0]
        assert storage.changes(newest) == (newest, [])
        job = storage.add(a_job())
        assert _steps(storage, newest) == [(job.id, None, Phase.PENDING)]

    def test_the_limit_cuts_and_the_number_goes_on_from_there(self, storage: Storage) -> None:
        jobs = [storage.add(a_job()).id for _ in range(5)]
        seen: list[str] = []
        after = 0
        for size in (2, 2, 1):
            after, changes = storage.changes(after, limit=2)
            assert len(changes) == size
            seen += [change.job_id for change in changes]
        assert seen == jobs

    def test_a_negative_number_lists_nothing_and_answers_the_newest(self, storage: Storage) -> None:
        storage.add(a_job())
        storage.add(a_job())
        assert storage.changes(-1) == (storage.changes(0)[0], [])

    def test_a_number_beyond_the_newest_lists_nothing_and_answers_the_newest(
        self, storage: Storage
    ) -> None:
        assert storage.changes(1000) == (storage.changes(-1)[0], [])
        storage.add(a_job())
        newest = storage.changes(-1)[0]
        for beyond in (1, 1000):
            assert storage.changes(newest + beyond) == (newest, [])

    def test_with_an_owner_only_that_owners_jobs_are_listed(self, storage: Storage) -> None:
        jobs = {name: storage.add(a_job(owner=name)).id for name in ("ann", "bob", None)}
        for owner, job_id in jobs.items():
            assert [change.job_id for change in storage.changes(0, owner=owner)[1]] == [job_id]
        assert len(storage.changes(0)[1]) == 3, "without an owner every owner passes"

    def test_with_an_owner_the_number_moves_past_the_others(self, storage: Storage) -> None:
        storage.add(a_job(owner="ann"))
        for _ in range(3):
            storage.add(a_job(owner="bob"))
        newest = storage.changes(-1)[0]
        assert storage.changes(0, owner="ann")[0] == newest

    def test_with_an_owner_and_a_limit_nothing_is_skipped(self, storage: Storage) -> None:
        wanted = []
        for number in range(8):
            job = storage.add(a_job(owner=("ann", "bob")[number % 2]))
            wanted += [job.id] if job.owner == "ann" else []
        seen: list[str] = []
        after = 0
        for _ in range(9):  # more often than there is anything to see
            after, changes = storage.changes(after, owner="ann", limit=1)
            seen += [change.job_id for change in changes]
        assert seen == wanted

    @pytest.mark.parametrize("owner", [ANYONE, "ann"], ids=["of all", "of one owner"])
    def test_a_reader_skips_nothing_that_several_writers_write(
        self, storage: Storage, instances: Instances[Storage], owner: str | Anyone
    ) -> None:
        stores = (storage, instances.open())
        reader = instances.open()
        ids = [[new_id() for _ in range(12)] for _ in range(4)]
        done = threading.Event()
        seen: list[str] = []

        def write(writer: int) -> None:
            for job_id in ids[writer]:
                stores[writer % 2].add(a_job(id=job_id))

        def read() -> None:
            after, last_round = 0, False
            while not last_round:
                last_round = done.is_set()
                after, changes = reader.changes(after, owner=owner)
                seen.extend(change.job_id for change in changes)

        following = threading.Thread(target=read, daemon=True)
        following.start()
        try:
            together(*(partial(write, writer) for writer in range(4)))
        finally:
            done.set()
            following.join(PATIENCE)
        assert sorted(seen) == sorted(chain.from_iterable(ids)), "skipped, or seen twice"

    # -- how long it is kept

    def test_entries_are_kept_for_30_days(
        self, storage: Storage, later: Callable[[float], None]
    ) -> None:
        job = storage.add(a_job())
        later(29 * DAY)
        storage.add(a_job())
        storage.prepare()
        assert storage.changes(0)[1][0].job_id == job.id

    def test_what_the_journal_has_dropped_is_a_gap_and_never_silence(
        self, storage: Storage, later: Callable[[float], None]
    ) -> None:
        job = storage.add(a_job())
        for _ in range(3):
            later(35 * DAY)
            storage.prepare()
            storage.add(a_job())
        try:
            first = storage.changes(0)[1][0].job_id
        except Gap as error:
            gap = error
        else:
            assert first == job.id, "the oldest entries are gone, and nothing says so"
            return
        assert gap.newest == storage.changes(-1)[0]
        assert storage.changes(gap.newest) == (gap.newest, [])


def _steps(storage: Storage, after: int) -> list[tuple[str, Phase | None, Phase | None]]:
    return [(change.job_id, change.old, change.new) for change in storage.changes(after)[1]]
