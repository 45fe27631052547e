"""Jobs of many values: however many of them there are, few are in memory at once."""

from __future__ import annotations

import tracemalloc
from contextlib import contextmanager

import pytest

from opus_core.backends import JobQuery
from opus_core.job import Parameter
from opus_core.testing.samples import LONG_AGO, a_running_job
from opus_storage_sqlite import supervision

MIB = 2**20
COUNT = 40


@pytest.fixture
def jobs(storage):
    """Many of a MiB, due one after the other."""
    found = []
    for number in range(COUNT):
        values = (Parameter(name="a", value=f"{number:06}" + "x" * MIB),)
        found.append(storage.add(a_running_job(owner="ann", parameters=values)))
    return found


@contextmanager
def no_more_than(size):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


def test_what_is_due_is_read_as_far_as_it_is_small_and_all_of_it_gets_its_turn(storage, jobs):
    done = []
    with no_more_than(24 * MIB):
        while due := storage.todo(COUNT, exclude=done):
            assert len(due) <= 8
            done += [job.id for job in due]
            due.clear()
    assert sorted(done) == sorted(job.id for job in jobs)


def test_the_first_that_is_due_is_read_however_large_it_is(storage, jobs, monkeypatch):
    monkeypatch.setattr(supervision, "_TODO_SIZE", 10)
    assert len(storage.todo(COUNT)) == 1


def test_many_that_are_small_are_read_at_once_and_in_order(storage):
    added = [storage.add(a_running_job()).id for _ in range(300)]
    for number, job_id in enumerate(reversed(added)):
        storage.save(storage.read(job_id), expected=1, due=-1000.0 + number)
    assert [job.id for job in storage.todo(256)] == added[::-1][:256]


def test_a_list_that_looks_into_values_has_one_document_at_a_time(storage, jobs):
    with no_more_than(12 * MIB):
        found = list(storage.get_list(JobQuery(owner="ann", after=LONG_AGO, text="000007X")))
    assert [job.id for job in found] == [jobs[7].id]
