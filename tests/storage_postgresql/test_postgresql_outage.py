"""The database stopped, cut off or held up under load: told in time, nothing lost, and over by
itself."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from opus_core.errors import Unavailable
from opus_core.testing.samples import a_job
from opus_storage_postgresql.options import PostgreSQLOptions
from opus_storage_postgresql.storage import PostgreSQLStorage
from servers import eventually


class Load:
    """Clients that add jobs one after the other, and what they were told."""

    def __init__(self, storages):
        self.made: list[str] = []
        self.refused: list[Unavailable] = []
        self.failures: list[BaseException] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(one,)) for one in storages]

    def _run(self, storage):
        while not self._over.is_set():
            job = a_job()
            try:
                storage.add(job)
            except Unavailable as error:
                self.refused.append(error)
            except BaseException as error:
                self.failures.append(error)
                return
            else:
                self.made.append(job.id)

    def __enter__(self):
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        for one in self._threads:
            one.join()

    def grows(self):
        """Some more are made."""
        count = len(self.made)
        eventually(lambda: self.failures or len(self.made) > count + 5)
        assert self.failures == []


@pytest.fixture
def hosts(make, storage):
    hosts = [make() for _ in range(3)]
    yield hosts
    for one in hosts:
        one.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_it_is_stopped_and_started_again(database, storage, hosts, how):
    """In order, and as after a power cut."""
    newest = storage.changes(-1)[0]
    storage.wait_change(newest, 0.1)
    with Load(hosts) as load:
        load.grows()
        database.stop(how)
        eventually(lambda: load.refused)
        database.start()
        load.grows()
    assert all(one.retry_after for one in load.refused)
    assert all("password" not in one.sentence for one in load.refused)
    for job_id in load.made:
        assert storage.read(job_id).id == job_id
    told = [one.job_id for one in _all_changes(storage, newest)]
    assert sorted(told) == sorted(set(told))
    assert set(load.made) <= set(told)
    # It hears of changes again.
    eventually(lambda: storage.wait_change(10**9, 0.01) or storage._database._listener.told)


def test_its_connections_are_cut(storage, hosts, admin):
    with Load(hosts) as load:
        for _ in range(5):
            load.grows()
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'opus'"
            )
        load.grows()
    for job_id in load.made:
        assert storage.read(job_id).id == job_id


def test_one_who_stops_in_the_middle_holds_nobody_up_for_long(options, storage):
    short = PostgreSQLOptions(url=options.url, schema=options.schema, busy_timeout=0.3)
    stuck, other = PostgreSQLStorage(short), PostgreSQLStorage(short)
    job = storage.add(a_job())

    def stop_in_the_middle():
        with stuck._database.writing() as connection:
            connection.exec_driver_sql("SELECT * FROM jobs FOR UPDATE")
            with pytest.raises(Unavailable) as refused:
                other.save(job, expected=1)
            assert "busy" in refused.value.sentence
            assert refused.value.retry_after
            eventually(lambda: _saved(other, job))
            connection.exec_driver_sql("SELECT 1")

    with pytest.raises(Unavailable):
        stop_in_the_middle()
    assert other.read(job.id).version == 2
    for one in (stuck, other):
        one.close()


def _saved(storage, job):
    try:
        return storage.save(job, expected=1)
    except Unavailable:
        return None


def test_more_who_ask_than_connections_wait_for_one(options, storage):
    few = PostgreSQLStorage(
        PostgreSQLOptions(url=options.url, schema=options.schema, connections=2, busy_timeout=0.3)
    )
    with few._database.reading(), few._database.reading(), pytest.raises(Unavailable) as refused:
        few.changes(-1)
    assert "busy" in refused.value.sentence
    few.changes(-1)
    few.close()


def test_a_child_has_connections_of_its_own(storage):
    """A server may fork when it has looked into the storage already."""
    job = storage.add(a_job())
    child = os.fork()
    if child == 0:
        os._exit(0 if storage.read(job.id).id == job.id and storage.add(a_job()) else 1)
    for _ in range(20):
        assert storage.read(job.id).id == job.id
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert storage.read(job.id).id == job.id


def test_what_was_closed_is_opened_again(storage):
    job = storage.add(a_job())
    storage.wait_change(0, 0.1)
    storage.close()
    assert storage.read(job.id).id == job.id
    storage.close()
    eventually(lambda: "opus-listen" not in [one.name for one in threading.enumerate()])


def _all_changes(storage, after):
    while True:
        after, found = storage.changes(after, limit=500)
        yield from found
        if len(found) < 500:
            return
