"""The journal is read in the order of commits, and every host hears of it at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from opus_core.backends import Limits
from opus_core.errors import AlreadyAdded, LimitReached
from opus_core.job import Idempotency
from opus_core.testing.samples import a_job
from opus_storage_postgresql.engine import PostgreSQLDatabase
from opus_storage_sqlite import statements
from opus_storage_sqlite.journal import write_changes
from servers import eventually


@pytest.fixture
def other(make, storage):
    """Another process's, as it were: with connections of its own."""
    other = make()
    yield other
    other.close()


def added(storage, made):
    return threading.Thread(target=lambda: made.append(storage.add(a_job()).id))


def at_once(ask, given):
    """What is answered for each of these, all asked at the same time."""
    with ThreadPoolExecutor(len(given)) as threads:
        return list(threads.map(ask, given))


def waiting(admin) -> int:
    """How many wait for a lock of ours."""
    asked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return admin.execute(asked).fetchone()[0]


def test_whoever_writes_later_is_not_read_before(storage, other, admin):
    """The first has its number and is not committed yet: nobody may get past it."""
    slow = a_job()
    made: list[str] = []
    before = storage.changes(-1)[0]
    with storage._database.writing() as connection:
        write_changes(connection, slow, old=None)
        quick = added(other, made)
        quick.start()
        eventually(lambda: waiting(admin) == 1)
        assert other.changes(before) == (before, [])
    quick.join()
    newest, changes = other.changes(before)
    assert [one.job_id for one in changes] == [slow.id, *made]
    assert newest == changes[-1].seq


def test_without_the_lock_a_reader_would_skip(storage, other, monkeypatch):
    """What the test above is about does happen."""
    monkeypatch.setattr("opus_storage_sqlite.journal.alone", lambda connection, what: None)
    slow = a_job()
    before = storage.changes(-1)[0]
    with storage._database.writing() as connection:
        write_changes(connection, slow, old=None)
        other.add(a_job())
        newest, _ = other.changes(before)
    assert [one.job_id for one in other.changes(newest)[1]] == []
    assert slow.id in [one.job_id for one in other.changes(before)[1]]


def test_many_write_and_one_who_follows_sees_each_once(make, storage):
    writers = [make() for _ in range(4)]
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda one=one: made.extend(one.add(a_job()).id for _ in range(40)))
        for one in writers
    ]
    seen: list[str] = []
    at, _ = storage.changes(-1)
    for one in threads:
        one.start()
    deadline = time.monotonic() + 60
    while len(seen) < 160 and time.monotonic() < deadline:
        storage.wait_change(at, 1.0)
        at, changes = storage.changes(at, limit=7)
        seen += [one.job_id for one in changes]
    for thread, writer in zip(threads, writers, strict=True):
        thread.join()
        writer.close()
    assert sorted(seen) == sorted(made)


def test_another_host_is_told_at_once(storage, other, monkeypatch):
    monkeypatch.setattr(PostgreSQLDatabase, "ask_every", 60.0)
    newest = storage.changes(-1)[0]
    assert not storage.wait_change(newest, 0.1)  # which makes it listen
    eventually(lambda: storage._database._listener.told)
    woken: list[bool] = []
    thread = threading.Thread(target=lambda: woken.append(storage.wait_change(newest, 60.0)))
    thread.start()
    begun = time.monotonic()
    other.add(a_job())
    thread.join()
    assert woken == [True]
    assert time.monotonic() - begun < 10


def test_of_two_with_the_same_key_one_is_made(storage, other):
    """Neither has seen the other's when it begins."""
    keyed = Idempotency(key="once", body="same")

    def add(one):
        try:
            one.add(a_job(quota_key="user:ann", idempotency=keyed))
        except AlreadyAdded:
            return "there"
        return "made"

    told = at_once(add, (storage, other) * 4)
    assert sorted(told) == ["made", *["there"] * 7]


def test_of_many_at_once_no_more_are_made_than_may_be(storage, other):
    limits = Limits(per_hour=3)

    def add(one):
        try:
            one.add(a_job(quota_key="user:ann"), limits=limits)
        except LimitReached:
            return "too many"
        return "made"

    told = at_once(add, (storage, other) * 5)
    assert told.count("made") == 3


def test_of_many_who_want_the_lease_one_has_it(make, storage):
    for _ in range(5):
        hosts = [make() for _ in range(4)]
        named = [(one, f"host {n}") for n, one in enumerate(hosts)]
        held = at_once(lambda pair: pair[0].lease("x", pair[1], 30.0).holder, named)
        for one in hosts:
            one.close()
        assert len(set(held)) == 1
        storage.release("x", held[0])


def test_streams_are_read_in_the_order_of_commits(storage, other, admin):
    with storage._database.writing() as connection:
        statements.alone(connection, "stream s")
        late: list[int] = []
        thread = threading.Thread(target=lambda: late.append(other.append("s", {"n": 2})))
        thread.start()
        eventually(lambda: waiting(admin) == 1)
        assert other.append("another", {}) > 0
    thread.join()
    assert [one.seq for one in storage.records("s")] == late
