"""All processes say the same, and what the long way round says: after anything that happens."""

from __future__ import annotations

import pytest

from metrics.life import Life
from metrics.numbers import beginning, expected, scraped, total
from opus_core.backends import JobQuery
from opus_core.job import Phase
from opus_core.testing.memory import MemoryStorage
from opus_core.testing.samples import a_job
from opus_core.testing.timing import together
from opus_metrics.follower import STREAM, Follower


@pytest.mark.parametrize("seed", range(12))
def test_two_processes_agree_with_brute_force_at_every_step(make, storage, seed, request):
    if seed % 2:
        request.getfixturevalue("always")
    life = Life(storage, seed)
    life.go_on(40)
    one, other = Follower(storage), Follower(make())
    scraped(one)
    since = beginning(storage)
    for _ in range(60):
        life.go_on(life.chance.randint(0, 5))
        wanted = expected(storage, since)
        assert scraped(one) == wanted
        if life.chance.random() < 0.3:
            other = Follower(make())  # it was restarted
        assert scraped(other) == wanted
    measured = [key for key in wanted if key[0] == "opus_job_run_seconds_count"]
    assert measured, "no job has run, so nothing was shown of that"


def test_what_has_ended_before_counting_began_is_there_and_not_counted(storage):
    Life(storage, 5).go_on(200)
    found = scraped(Follower(storage))
    assert {name for name, _ in found} == {"opus_jobs", "opus_journal_last_seq"}
    assert sum(found.values()) > 20


def test_deleted_and_archived_jobs_are_jobs_no_more(storage):
    follower = Follower(storage)
    scraped(follower)
    life = Life(storage, 1)
    life.go_on(400)
    everything = {job.phase for job in storage.get_list(JobQuery(phases=frozenset(Phase)))}
    assert Phase.ARCHIVED in everything
    assert life.doomed
    found = scraped(follower)
    assert total(found, "opus_jobs") == len(list(storage.get_list(JobQuery())))
    archived = [key for key in found if ("phase", "ARCHIVED") in key[1]]
    assert {name for name, _ in archived} == {"opus_job_transitions_total"}


def test_jobs_that_change_while_they_are_counted_first_are_counted_once(make, storage):
    life = Life(storage, 3)
    life.go_on(150)

    class Shifting(MemoryStorage):
        """Things go on between any two rows of a list."""

        def get_list(self, query):
            for job in super().get_list(query):
                yield job
                life.go_on(2)

    one = Follower(make(Shifting))
    found = scraped(one)
    assert found == expected(storage, beginning(storage))
    assert scraped(Follower(make())) == found


def test_of_two_beginnings_made_at_once_the_first_counts_for_both(make, storage):
    class Slow(MemoryStorage):
        """Before its first record is there, another process has been faster."""

        meanwhile = None

        def append(self, stream, record, key=None):
            if go_on := self.meanwhile:
                self.meanwhile = None
                go_on()
            return super().append(stream, record, key)

    other = Follower(make())
    slow = make(Slow)

    def faster():
        storage.add(a_job())
        scraped(other)

    slow.meanwhile = faster
    one = Follower(slow)
    scraped(one)
    storage.add(a_job())
    found = scraped(one)
    [first, second] = [record.data for record in storage.records(STREAM)]
    assert first["replaces"] == second["replaces"] == ""
    assert first["seq"] > second["seq"], "the one that lost began before"
    assert found == scraped(other) == scraped(Follower(make()))
    assert total(found, "opus_jobs_created_total") == 1


def test_processes_that_begin_at_once_agree(make):
    storages = [make() for _ in range(6)]
    Life(storages[0], 4).go_on(100)
    followers = [Follower(one) for one in storages]
    together(*(lambda one=one: scraped(one) for one in followers))
    Life(storages[0], 6).go_on(50)
    first, *others = [scraped(one) for one in followers]
    assert all(one == first for one in others)
    assert first == expected(storages[0], storages[0].records(STREAM)[0].data["seq"])
