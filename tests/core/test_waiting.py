"""Waiting: a budget, no query for each waiter, and nobody misses a change or outstays a close."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress

import pytest

from opus_core import lifecycle, waiting
from opus_core.departure import Gone, stays
from opus_core.errors import Unavailable
from opus_core.job import now
from opus_core.testing.memory import MemoryOptions, MemoryStorage
from opus_core.testing.samples import a_job
from opus_core.testing.timing import eventually
from opus_core.waiting import Watcher


class Counting(MemoryStorage):
    """Counts what it is asked."""

    def __init__(self, options: MemoryOptions) -> None:
        super().__init__(options)
        self.calls: Counter[str] = Counter()
        self.away = False

    def changes(self, after, **more):
        self.calls["changes"] += 1
        return super().changes(after, **more)

    def wait_change(self, after, seconds):
        self.calls["wait_change"] += 1
        if self.away:
            raise Unavailable("the database is away")
        return super().wait_change(after, seconds)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(waiting, "_CYCLE", 0.1)  # a watcher is waited for at the end of each test


@pytest.fixture
def storages():
    """A callable that opens one more instance of the same storage."""
    universe = uuid.uuid4().hex
    yield lambda: Counting(MemoryOptions(universe=universe))
    MemoryStorage.forget(universe)


@pytest.fixture
def storage(storages):
    return storages()


@contextmanager
def watching(storage: MemoryStorage, slots: int = 10, per_user: int = 10):
    watcher = Watcher(storage, slots=slots, per_user=per_user)
    try:
        yield watcher
    finally:
        watcher.close()
        # One that has just had nobody to follow for is on its way out.
        eventually(lambda: "opus-watcher" not in names(), "its thread has ended", 5)


def names() -> set[str]:
    return {one.name for one in threading.enumerate()}


def run(storage: MemoryStorage, job_id: str) -> None:
    job = storage.read(job_id)
    after = lifecycle.run(job, now=now(), tag="t", can_resume=False)
    storage.save(after, expected=job.version)


def in_background(call) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def test_a_change_by_another_instance_wakes(storages) -> None:
    here, there = storages(), storages()
    job = here.add(a_job())
    with watching(here) as watcher, watcher.waiter(job.id, "ann") as waiter:
        assert waiter.admitted
        in_background(lambda: run(there, job.id))
        assert waiter.wait(20)


def test_a_change_between_entering_and_waiting_is_not_missed(storages) -> None:
    here, there = storages(), storages()
    job = here.add(a_job())
    with watching(here) as watcher, watcher.waiter(job.id, "ann") as waiter:
        run(there, job.id)
        assert waiter.wait(20)


def test_a_change_made_here_wakes_without_the_journal(storage) -> None:
    job = storage.add(a_job())
    storage.away = True
    with watching(storage) as watcher, watcher.waiter(job.id, "ann") as waiter:
        watcher.changed(job.id)
        assert waiter.wait(20)


def test_a_deletion_wakes(storage) -> None:
    job = storage.add(a_job())
    with watching(storage) as watcher, watcher.waiter(job.id, "ann") as waiter:
        storage.save(lifecycle.doom(job, now=now()), expected=1)
        assert waiter.wait(20)


def test_nobody_is_woken_for_another_job(storage) -> None:
    mine, other = storage.add(a_job()), storage.add(a_job())
    with watching(storage) as watcher, watcher.waiter(mine.id, "ann") as waiter:
        run(storage, other.id)
        assert not waiter.wait(0.3)


def test_the_time_is_kept(storage) -> None:
    job = storage.add(a_job())
    with watching(storage) as watcher, watcher.waiter(job.id, "ann") as waiter:
        begin = time.monotonic()
        assert not waiter.wait(0.2)
        assert 0.2 <= time.monotonic() - begin < 2
        assert not waiter.wait(0)
        assert not waiter.wait(-1)


def test_one_waiter_is_woken_for_each_change(storage) -> None:
    job = storage.add(a_job())
    with watching(storage) as watcher, watcher.waiter(job.id, "ann") as waiter:
        run(storage, job.id)
        assert waiter.wait(20)
        queued = storage.read(job.id)
        storage.save(lifecycle.abort(queued, now=now()), expected=queued.version)
        assert waiter.wait(20)
        assert not waiter.wait(0.1)


# -- the budget


def test_beyond_the_slots_nobody_waits(storage) -> None:
    job = storage.add(a_job())
    with watching(storage, slots=2) as watcher, ExitStack() as stack:
        for user in ("ann", "bob"):
            assert stack.enter_context(watcher.waiter(job.id, user)).admitted
        with watcher.waiter(job.id, "cid") as waiter:
            assert not waiter.admitted
            begin = time.monotonic()
            assert not waiter.wait(20)
            assert time.monotonic() - begin < 1


def test_one_user_cannot_take_all_slots(storage) -> None:
    job = storage.add(a_job())
    with watching(storage, slots=10, per_user=2) as watcher, ExitStack() as stack:
        admitted = [stack.enter_context(watcher.waiter(job.id, "ann")).admitted for _ in range(3)]
        assert admitted == [True, True, False]
        assert stack.enter_context(watcher.waiter(job.id, "bob")).admitted


def test_a_place_is_given_back_whatever_happens(storage) -> None:
    job = storage.add(a_job())
    with watching(storage, slots=1) as watcher:
        for _ in range(3):
            with suppress(ZeroDivisionError), watcher.waiter(job.id, "ann") as waiter:
                assert waiter.admitted
                raise ZeroDivisionError


def test_a_place_is_given_back_if_the_storage_is_away(storage, monkeypatch) -> None:
    job = storage.add(a_job())

    def away(after, **more):
        raise Unavailable("the database is away")

    with watching(storage, slots=1) as watcher:
        monkeypatch.setattr(storage, "changes", away)
        with pytest.raises(Unavailable), watcher.waiter(job.id, "ann"):
            pytest.fail("there is no place to begin from")
        monkeypatch.undo()
        with watcher.waiter(job.id, "ann") as waiter:
            assert waiter.admitted


def test_no_slots_at_all_is_a_budget_too(storage) -> None:
    job = storage.add(a_job())
    with watching(storage, slots=0) as watcher, watcher.waiter(job.id, "ann") as waiter:
        assert not waiter.wait(20)
    assert not storage.calls


# -- what it costs


def test_few_of_many_look_at_once_and_each_does(storage) -> None:
    job = storage.add(a_job())
    numbers, looking, seen = threading.Lock(), [], []
    entered = threading.Barrier(31)

    def look() -> None:
        with watcher.waiter(job.id, "ann") as waiter:
            entered.wait(20)
            assert waiter.wait(20)
            with numbers:
                looking.append(waiter)
                seen.append(len(looking))
            time.sleep(0.01)
            with numbers:
                looking.remove(waiter)

    with watching(storage, slots=30, per_user=30) as watcher:
        threads = [in_background(look) for _ in range(30)]
        entered.wait(20)
        run(storage, job.id)
        for thread in threads:
            thread.join(20)
        assert len(seen) == 30
        assert max(seen) <= waiting._AT_ONCE


def test_those_who_look_for_long_keep_nobody_asleep(storage, monkeypatch) -> None:
    monkeypatch.setattr(waiting, "_LOOK", 0.1)
    job = storage.add(a_job())
    with watching(storage) as watcher, ExitStack() as stack:
        most = waiting._AT_ONCE + 1
        waiters = [stack.enter_context(watcher.waiter(job.id, "ann")) for _ in range(most)]
        run(storage, job.id)
        assert all(waiter.wait(20) for waiter in waiters)


def test_who_leaves_before_its_turn_takes_none(storage) -> None:
    job = storage.add(a_job())
    with watching(storage) as watcher, ExitStack() as stack:
        most = waiting._AT_ONCE
        first = [stack.enter_context(watcher.waiter(job.id, "ann")) for _ in range(most)]
        with watcher.waiter(job.id, "ann"):
            watcher.changed(job.id)
        last = stack.enter_context(watcher.waiter(job.id, "ann"))
        watcher.changed(job.id)
        assert first[0].wait(20)
        assert not first[0].wait(0.01)  # it has looked: the next one may
        assert last.wait(0.5)


def test_a_hundred_waiters_cost_no_more_queries_than_one(storage) -> None:
    job = storage.add(a_job())
    entered = threading.Barrier(101)
    woken = []

    def look() -> None:
        with watcher.waiter(job.id, "ann") as waiter:
            entered.wait(20)
            woken.append(waiter.wait(20))

    with watching(storage, slots=100, per_user=100) as watcher:
        threads = [in_background(look) for _ in range(100)]
        entered.wait(20)
        before = storage.calls.copy()
        run(storage, job.id)
        for thread in threads:
            thread.join(20)
        assert woken == [True] * 100
        asked = storage.calls - before
        assert asked.total() <= 4, asked


def test_nobody_follows_the_journal_while_nobody_waits(storage) -> None:
    job = storage.add(a_job())
    with watching(storage) as watcher:
        assert not storage.calls
        with watcher.waiter(job.id, "ann"):
            assert storage.calls
        threads = lambda: [t for t in threading.enumerate() if t.name == "opus-watcher"]  # noqa: E731
        eventually(lambda: not threads(), "the watcher has gone to rest")
        before = storage.calls.copy()
        run(storage, job.id)
        assert storage.calls == before
        with watcher.waiter(job.id, "ann") as waiter:  # and wakes up again
            queued = storage.read(job.id)
            storage.save(lifecycle.abort(queued, now=now()), expected=queued.version)
            assert waiter.wait(20)


# -- the end, and what may go wrong


def test_a_waiter_whose_client_has_left_is_sent_away_and_no_other(storage) -> None:
    job, other = storage.add(a_job()), storage.add(a_job())
    left = threading.Event()
    with watching(storage, slots=2) as watcher:
        ended: list[str] = []
        entered = threading.Barrier(3)

        def wait(name: str, topic: str, gone: Gone) -> None:
            with watcher.waiter(topic, name, gone) as waiter:
                entered.wait(20)
                while waiter.wait(20):
                    ended.append(f"{name} looks")
                ended.append(f"{name} leaves")

        leaving = in_background(lambda: wait("a", job.id, left.is_set))
        staying = in_background(lambda: wait("b", other.id, stays))
        entered.wait(20)
        assert not admits(watcher), "both have a slot"
        left.set()
        leaving.join(10)
        assert ended == ["a looks", "a leaves"], "once more, for its answer"
        assert admits(watcher), "its slot is free"
        assert staying.is_alive()
    staying.join(10)


def test_a_server_that_cannot_tell_after_all_harms_nobody(storages, caplog) -> None:
    """The thread that follows the journal asks, and goes on."""
    storage, elsewhere = storages(), storages()
    job = storage.add(a_job())
    asked = threading.Event()

    def fail() -> bool:
        asked.set()
        raise OSError("no such thing")

    with watching(storage) as watcher, watcher.waiter(job.id, "a", fail) as waiter:
        assert asked.wait(20)
        run(elsewhere, job.id)
        assert waiter.wait(20)
    assert caplog.text.count("cannot be told") == 1


def admits(watcher: Watcher) -> bool:
    with watcher.waiter("another", "c") as waiter:
        return waiter.admitted


def test_close_wakes_everybody_and_lets_nobody_wait_again(storage) -> None:
    jobs = [storage.add(a_job()) for _ in range(3)]
    outcomes: list[bool] = []
    entered = threading.Barrier(len(jobs) + 1)
    with watching(storage) as watcher:

        def wait(job_id: str) -> None:
            with watcher.waiter(job_id, "ann") as waiter:
                entered.wait(20)
                waiter.wait(60)
                outcomes.append(waiter.wait(60))

        threads = [in_background(lambda job=job: wait(job.id)) for job in jobs]
        entered.wait(20)
        watcher.close()
        for thread in threads:
            thread.join(10)
        assert outcomes == [False] * 3
        with watcher.waiter(jobs[0].id, "ann") as late:
            assert not late.wait(20)


def test_a_storage_that_was_away_is_followed_again(storages) -> None:
    here, there = storages(), storages()
    job = here.add(a_job())
    with watching(here) as watcher, watcher.waiter(job.id, "ann") as waiter:
        here.away = True
        eventually(lambda: here.calls["wait_change"] >= 2, "it was asked in vain")
        run(there, job.id)
        here.away = False
        assert waiter.wait(20)


def test_after_a_gap_in_the_journal_everybody_looks_again(storages) -> None:
    here, there = storages(), storages()
    job = here.add(a_job())
    here.away = True
    with watching(here) as watcher, watcher.waiter(job.id, "ann") as waiter:
        run(there, job.id)
        here.pass_time(31 * 86400)
        there.add(a_job())  # now the entry is forgotten
        here.away = False
        assert waiter.wait(20)
