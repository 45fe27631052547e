"""What is counted as it changes is what a count of the jobs would find."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from opus_core.backends import Limits
from opus_core.errors import LimitReached
from opus_core.job import Idempotency, Phase
from opus_core.testing.samples import a_job, a_job_of_bytes
from opus_storage_sqlite import quotas

DAY = 86_400.0


def _rows(storage, query):
    with storage._database.reading() as connection:
        return sorted(tuple(row) for row in connection.exec_driver_sql(query))


def _counted(storage):
    return _rows(storage, "SELECT quota_key, active, bytes FROM usage")


def _true(storage):
    active = ", ".join(f"'{phase}'" for phase in Phase if phase.active)
    return _rows(
        storage,
        f"SELECT quota_key, sum(phase IN ({active})), sum(bytes) AS kept FROM jobs"
        f" GROUP BY quota_key HAVING sum(phase IN ({active})) OR sum(bytes)",
    )


def test_usage_is_true_after_any_number_of_changes(storage):
    chance = random.Random(20)
    keys = ("user:ann", "user:bob", "address:::1")
    stored = {}
    for _ in range(150):
        step = chance.randrange(4)
        if not stored or step == 0:
            job = storage.add(
                a_job_of_bytes(
                    chance.choice((0, 10)),
                    chance.choice((0, 5)),
                    quota_key=chance.choice(keys),
                    phase=chance.choice(list(Phase)),
                )
            )
            stored[job.id] = job
            continue
        job = chance.choice(list(stored.values()))
        if step == 1:
            storage.delete(job.id, expected=job.version)
            del stored[job.id]
        else:
            changed = replace(
                job,
                phase=chance.choice(list(Phase)),
                quota_key=chance.choice(keys),
                results=chance.choice((job.results, ())),
            )
            stored[job.id] = storage.save(changed, expected=job.version)
    assert _counted(storage) == _true(storage) != []
    for job in stored.values():
        storage.delete(job.id, expected=job.version)
    assert _counted(storage) == [], "who has nothing left is not kept"


def test_what_was_refused_is_not_counted(storage):
    limits = Limits(active=1, bytes=10)
    job = storage.add(a_job_of_bytes(10, phase=Phase.QUEUED), limits=limits)
    for refused in (a_job(phase=Phase.QUEUED), a_job_of_bytes(1)):
        with pytest.raises(LimitReached):
            storage.add(refused, limits=limits)
    assert _counted(storage) == [("user:ann", 1, 10)]
    storage.save(replace(job, phase=Phase.COMPLETED), expected=1)
    storage.add(a_job(phase=Phase.QUEUED), limits=limits)


def test_keys_older_than_a_day_go_as_new_ones_come(pass_time, storage, monkeypatch):
    monkeypatch.setattr(quotas, "_FORGOTTEN", quotas._FORGOTTEN.limit(2))

    def use(key):
        storage.add(a_job(idempotency=Idempotency(key=key, body="0" * 64)))

    for number in range(5):
        use(f"old {number}")
    pass_time(DAY + 60)
    for number, left in enumerate((4, 3, 3, 4)):
        use(f"new {number}")
        assert _rows(storage, "SELECT count(*) FROM idempotency") == [(left,)]


def test_more_keys_go_than_come():
    assert quotas._SWEEP > 1
