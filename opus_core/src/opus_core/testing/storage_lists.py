"""Promises of `Storage.get_list`: filters, total orders, pages and cursors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from opus_core.backends import JobQuery, Sort, Storage
from opus_core.errors import BadRequest
from opus_core.job import DefinitionRef, Job, Phase
from opus_core.testing.backend import Instances
from opus_core.testing.samples import DOOMED, LONG_AGO, a_job, jobs_at
from opus_core.testing.storage_kit import StorageKit
from opus_core.testing.timing import together


class ListPromises(StorageKit):
    """A list shows what its filters say, in one order, each job once, in pages."""

    # -- filters

    def test_a_list_shows_the_summaries_of_jobs(self, storage: Storage) -> None:
        job = storage.add(a_job(run_id="mine", started=LONG_AGO, destruction=LONG_AGO))
        assert list(storage.get_list(JobQuery())) == [job.summary()]

    def test_a_list_never_shows_doomed_jobs(self, storage: Storage) -> None:
        seen, _ = storage.add(a_job()), storage.add(a_job(marks=DOOMED))
        assert _ids(storage) == [seen.id]
        assert _ids(storage, phases=frozenset(Phase)) == [seen.id]

    def test_without_phases_all_but_archived_jobs_are_listed(self, storage: Storage) -> None:
        jobs = {phase: storage.add(a_job(phase=phase)) for phase in Phase}
        listed = {job.id for phase, job in jobs.items() if phase is not Phase.ARCHIVED}
        assert set(_ids(storage)) == listed

    def test_phases_are_alternatives(self, storage: Storage) -> None:
        jobs = {phase: storage.add(a_job(phase=phase)) for phase in Phase}
        for phases in ({Phase.ARCHIVED}, {Phase.QUEUED, Phase.ERROR}):
            found = set(_ids(storage, phases=frozenset(phases)))
            assert found == {jobs[phase].id for phase in phases}

    def test_definition_is_compared_by_name(self, storage: Storage) -> None:
        wanted = [storage.add(a_job(definition=DefinitionRef("fits", number))) for number in (1, 2)]
        storage.add(a_job(definition=DefinitionRef("fits2", 1)))
        assert set(_ids(storage, definition="fits")) == {job.id for job in wanted}

    def test_owner_filters_by_name(self, storage: Storage) -> None:
        jobs = {name: storage.add(a_job(owner=name)) for name in ("ann", "Ann", "bob", None)}
        assert _ids(storage, owner="ann") == [jobs["ann"].id]
        assert len(_ids(storage)) == 4, "without an owner every owner passes"

    def test_owner_none_is_anonymous_jobs_only(self, storage: Storage) -> None:
        jobs = {name: storage.add(a_job(owner=name)) for name in ("ann", "", None)}
        assert _ids(storage, owner=None) == [jobs[None].id]

    def test_after_is_strictly_later(self, storage: Storage) -> None:
        jobs = jobs_at(storage, 0, 1, 2)
        assert _ids(storage, after=jobs[1].created) == [jobs[2].id]
        just_before = jobs[1].created - timedelta(milliseconds=1)
        assert _ids(storage, after=just_before) == [jobs[1].id, jobs[2].id]

    def test_before_is_strictly_earlier(self, storage: Storage) -> None:
        jobs = jobs_at(storage, 0, 1, 2)
        assert _ids(storage, before=jobs[1].created) == [jobs[0].id]
        just_after = jobs[1].created + timedelta(milliseconds=1)
        assert _ids(storage, before=just_after) == [jobs[0].id, jobs[1].id]

    def test_filters_are_a_logical_and(self, storage: Storage) -> None:
        fits = DefinitionRef("fits", 1)
        wanted = jobs_at(storage, 3, owner="bob", phase=Phase.ERROR, definition=fits)
        jobs_at(storage, 3, owner="ann", phase=Phase.ERROR, definition=fits)
        jobs_at(storage, 3, owner="bob", phase=Phase.QUEUED, definition=fits)
        jobs_at(storage, 3, owner="bob", phase=Phase.ERROR)
        jobs_at(storage, 1, 5, owner="bob", phase=Phase.ERROR, definition=fits)
        assert _ids(
            storage,
            owner="bob",
            definition="fits",
            phases=frozenset({Phase.ERROR}),
            after=LONG_AGO + timedelta(minutes=2),
            before=LONG_AGO + timedelta(minutes=4),
        ) == [wanted[0].id]

    # -- order

    def test_the_order_is_of_creation_and_then_of_id(self, storage: Storage) -> None:
        jobs = jobs_at(storage, 2, 0, 1, 1, 1)
        assert _ids(storage) == [job.id for job in sorted(jobs, key=_age)]

    def test_sorted_by_phase_it_is_by_the_name_of_the_phase(self, storage: Storage) -> None:
        jobs = [job for phase in Phase for job in jobs_at(storage, 1, 0, 1, phase=phase)]
        expected = sorted(jobs, key=lambda job: (job.phase.value, *_age(job)))
        every = frozenset(Phase)
        assert _ids(storage, sort=Sort.PHASE, phases=every) == [job.id for job in expected]

    def test_sorted_by_end_those_not_ended_come_last(self, storage: Storage) -> None:
        expected = _ended_jobs(storage)
        assert _ids(storage, sort=Sort.ENDED) == [job.id for job in expected]

    @pytest.mark.parametrize("sort", Sort)
    def test_reverse_turns_the_whole_order_round(self, storage: Storage, sort: Sort) -> None:
        _ended_jobs(storage)
        jobs_at(storage, 1, 1, phase=Phase.QUEUED)
        assert _ids(storage, sort=sort, reverse=True) == _ids(storage, sort=sort)[::-1]

    def test_last_is_the_n_created_last_newest_first(self, storage: Storage) -> None:
        jobs = jobs_at(storage, 3, 0, 4, 1, 4)
        newest = [job.id for job in sorted(jobs, key=_age, reverse=True)]
        assert _ids(storage, last=3) == newest[:3]
        assert _ids(storage, last=9) == newest

    def test_last_overrides_sort_and_reverse(self, storage: Storage) -> None:
        jobs = jobs_at(storage, 0, 2, 1, phase=Phase.ERROR) + jobs_at(storage, 3)
        newest = [job.id for job in sorted(jobs, key=_age, reverse=True)]
        for sort in Sort:
            for reverse in (False, True):
                assert _ids(storage, last=3, sort=sort, reverse=reverse) == newest[:3]

    def test_last_counts_what_the_filters_leave(self, storage: Storage) -> None:
        jobs = jobs_at(storage, 0, 1, 2, phase=Phase.ERROR)
        jobs_at(storage, 3, 4)
        listed = _ids(storage, last=2, phases=frozenset({Phase.ERROR}))
        assert listed == [jobs[2].id, jobs[1].id]

    def test_limit_cuts_what_the_filters_leave(self, storage: Storage) -> None:
        jobs = jobs_at(storage, 0, 1, 2, 3, phase=Phase.ERROR)
        jobs_at(storage, -1)
        listed = _ids(storage, limit=2, phases=frozenset({Phase.ERROR}))
        assert listed == [jobs[0].id, jobs[1].id]
        assert _ids(storage, last=3, limit=1) == [jobs[3].id]

    def test_none_of_a_list_is_none(self, storage: Storage) -> None:
        jobs_at(storage, 0, 1)
        assert _ids(storage, limit=0) == [], "a limit of 0 is a limit"
        assert _ids(storage, last=0) == [], "the last 0 are none"

    # -- pages and cursors

    @pytest.mark.parametrize("sort", Sort)
    @pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
    def test_a_cursor_goes_on_behind_the_job_it_was_given(
        self, storage: Storage, sort: Sort, reverse: bool
    ) -> None:
        _ended_jobs(storage)
        jobs_at(storage, 0, 1, 1, phase=Phase.QUEUED)
        query = JobQuery(sort=sort, reverse=reverse)
        whole = list(storage.get_list(query))
        for number, summary in enumerate(whole):
            rest = storage.get_list(replace(query, cursor=query.cursor_at(summary)))
            assert list(rest) == whole[number + 1 :], f"behind job {number} of {len(whole)}"

    def test_with_last_a_cursor_moves_within_these_n(self, storage: Storage) -> None:
        jobs_at(storage, 0, 4, 1, 1, 2)
        query = JobQuery(last=3)
        newest = list(storage.get_list(query))
        assert len(newest) == 3
        for number, summary in enumerate(newest):
            rest = storage.get_list(replace(query, cursor=query.cursor_at(summary)))
            assert list(rest) == newest[number + 1 :], f"behind job {number} of 3"

    def test_a_cursor_outlives_its_job(self, storage: Storage) -> None:
        jobs = jobs_at(storage, 0, 1, 2)
        cursor = JobQuery().cursor_at(jobs[1].summary())
        storage.delete(jobs[1].id, expected=1)
        assert _ids(storage, cursor=cursor) == [jobs[2].id]

    @pytest.mark.parametrize("cursor", ["nonsense", "phase~QUEUED~2020-01-01T00:00:00+00:00~1"])
    def test_a_wrong_cursor_is_refused_at_the_call(self, storage: Storage, cursor: str) -> None:
        with pytest.raises(BadRequest):
            storage.get_list(JobQuery(cursor=cursor))

    def test_a_list_longer_than_a_page_is_whole_while_others_delete(self, storage: Storage) -> None:
        jobs = sorted(jobs_at(storage, *range(1010)), key=_age)
        reading = storage.get_list(JobQuery())
        begun = [summary.id for summary in islice(reading, 20)]
        for job in jobs[:10]:
            storage.delete(job.id, expected=1)
        rest = [summary.id for summary in reading]
        assert begun + rest == [job.id for job in jobs]

    def test_a_slow_reader_stops_nobody(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        other = instances.open()
        jobs = jobs_at(storage, 0, 1)
        reading = storage.get_list(JobQuery())
        next(reading)
        saved = together(
            lambda: other.save(jobs[0], expected=1), lambda: storage.save(jobs[1], expected=1)
        )
        assert [job.version for job in saved] == [2, 2]
        assert [summary.id for summary in reading] == [jobs[1].id]

    def test_lists_that_nobody_reads_on_hold_nothing(self, storage: Storage) -> None:
        jobs = jobs_at(storage, 0, 1)
        begun = [storage.get_list(JobQuery()) for _ in range(60)]
        for reading in begun:
            next(reading)

        def go_on() -> int:
            return storage.save(jobs[1], expected=1).version + len(
                list(storage.get_list(JobQuery()))
            )

        assert together(go_on) == [4], "a list that was begun holds a connection between pages"
        assert all(next(reading).id == jobs[1].id for reading in begun)


def _ids(storage: Storage, **query: Any) -> list[str]:  # noqa: ANN401  any field of a query
    found: Iterator[Any] = storage.get_list(JobQuery(**query))
    return [summary.id for summary in found]


def _age(job: Job) -> tuple[datetime, str]:
    return (job.created, job.id)


def _ended_jobs(storage: Storage) -> list[Job]:
    """Some that have ended, two of them at once, and some that have not; in the order of ENDED."""
    end = LONG_AGO + timedelta(days=1)
    ends = (end + timedelta(hours=2), end, end, end + timedelta(milliseconds=1))
    over = [
        job
        for number, ended in enumerate(ends)
        for job in jobs_at(storage, number % 2, phase=Phase.COMPLETED, ended=ended)
    ]
    ordered = sorted(over, key=lambda job: (job.ended or end, *_age(job)))
    return ordered + sorted(jobs_at(storage, 1, 0), key=_age)
