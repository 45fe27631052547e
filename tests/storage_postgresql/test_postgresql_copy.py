"""All that one storage has is in the other one after it was copied, from each kind to each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from opus_core.backends import Account, Health, HealthState, Session, Token
from opus_core.commands.db import fingerprint
from opus_core.errors import ConfigError
from opus_core.job import Mark, Phase, Work, now
from opus_core.testing.memory import MemoryStorage
from opus_core.testing.samples import a_job
from opus_storage_sqlite.storage import SQLiteOptions, SQLiteStorage
from opus_storage_sqlite.tables import metadata


@pytest.fixture
def lite(tmp_path):
    """Makes SQLite storages, each with nothing in it."""
    made = []

    def lite():
        storage = SQLiteStorage(SQLiteOptions(path=tmp_path / f"{len(made)}.sqlite"))
        storage.prepare()
        made.append(storage)
        return storage

    yield lite
    for one in made:
        one.close()


def fill(storage):
    """Something of everything, and numbers behind which there is nothing."""
    jobs = [storage.add(a_job(run_id=f"é {n}", owner="ann" if n % 2 else None)) for n in range(450)]
    for job in jobs[:20]:
        running = storage.save(
            replace(job, phase=Phase.EXECUTING, work=Work.LIVE, tag="t", native_ids=(job.id[:5],)),
            expected=1,
        )
        storage.note(job.id, {"progress": "40", "said": "<&>\u202e"})
        storage.poke("output", job_id=job.id)
        storage.save(running, expected=2, due=3600.0)
    for job in jobs[20:25]:
        doomed = storage.save(replace(job, marks=frozenset({Mark.DOOMED})), expected=1)
        storage.delete(doomed.id, expected=2)
    for n in range(5):
        storage.append("audit", {"n": n})
    storage.append("marks", {"a": 1}, key="one")
    last = storage.append("gone", {})
    storage.trim("gone", last)
    well = Health(state=HealthState.OK, sentence="well", since=now(), heartbeat=now())
    storage.set_health("x", well)
    storage.lease("supervisor", "somebody", 10.0)
    storage.release("supervisor", "somebody")
    accounts = storage.accounts()
    accounts.add_user(Account(name="ann", roles=frozenset({"admin"}), created=now()))
    accounts.add_token(Token(prefix="p", user="ann", hash="h", name="é", created=now()))
    accounts.add_session(Session(hash="s", user="ann", created=now(), last_seen=now()))
    return jobs


def rows(storage):
    with storage._database.reading() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
        }


@pytest.mark.parametrize("way", ["lite to lite", "there and back"])
def test_every_row_is_there(way, lite, make):
    source = lite()
    fill(source)
    before, marked = rows(source), fingerprint(source)
    places = [lite()]
    if way == "there and back":
        places.insert(0, make())
        places[0].prepare()
    at = source
    for target in places:
        copied = at.copy_into(target)
        assert copied["jobs"] == 445
        assert rows(target) == before
        assert fingerprint(target) == marked
        # What comes behind has numbers behind: whoever followed the journal goes on.
        newest = at.changes(-1)[0]
        assert target.changes(-1)[0] == newest
        at = target
    for one in (source, *places):
        newest, _ = one.changes(-1)
        number = one.append("audit", {})
        one.add(a_job())
        assert one.changes(newest)[1][0].seq == newest + 1
        assert number == 8
    for one in places[:-1]:
        one.close()


def test_numbers_of_what_has_gone_are_not_given_again(lite, make):
    source, target = lite(), make()
    target.prepare()
    last = [source.append("s", {}) for _ in range(3)][-1]
    source.trim("s", last)
    source.copy_into(target)
    back = lite()
    target.copy_into(back)
    assert [target.append("s", {}), back.append("s", {})] == [last + 1] * 2
    target.close()


def test_one_with_nothing_in_it(lite, make):
    source, target = lite(), make()
    target.prepare()
    assert set(source.copy_into(target).values()) == {0}
    assert target.append("s", {}) == 1
    target.close()


def test_what_has_something_in_it_is_left_alone(lite, make):
    source, target = lite(), make()
    target.prepare()
    there = target.add(a_job())
    source.add(a_job())
    before = rows(target)
    with pytest.raises(ConfigError) as refused:
        source.copy_into(target)
    assert "something in it already" in refused.value.sentence
    assert rows(target) == before
    assert target.read(there.id) == there
    target.close()


def test_a_storage_of_another_kind_is_named(lite):
    memory = MemoryStorage(MemoryStorage.Options(universe="copy"))
    with pytest.raises(ConfigError) as refused:
        lite().copy_into(memory)
    assert refused.value.sentence == "nobody has written how sqlite is copied into memory"
    with pytest.raises(ConfigError):
        memory.copy_into(lite())
    MemoryStorage.forget("copy")


def test_it_is_one_state_that_is_copied(make, lite):
    """Of PostgreSQL, where others may write meanwhile."""
    source, target = make(), lite()
    source.prepare()
    job = source.add(a_job())
    with source._database.snapshot() as read:
        assert read.execute(select(metadata.tables["jobs"].c.id)).scalars().all() == [job.id]
        source.add(a_job(created=now() + timedelta(days=1)))
        assert read.execute(select(metadata.tables["jobs"].c.id)).scalars().all() == [job.id]
    source.copy_into(target)
    assert fingerprint(target)[0] == 2
    source.close()
