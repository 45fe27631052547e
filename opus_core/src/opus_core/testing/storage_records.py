"""Promises of `Storage` about its schema, health, and the streams of all else that must last."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given

from opus_core.backends import Accounts, Health, HealthState, Storage
from opus_core.errors import ConfigError
from opus_core.job import new_id, now
from opus_core.testing.backend import Instances
from opus_core.testing.samples import LONG_AGO, a_job
from opus_core.testing.storage_kit import StorageKit, thorough
from opus_core.testing.strategies import json_values
from opus_core.testing.timing import together


class RecordPromises(StorageKit):
    """The schema comes up from any state, and streams keep their order and their numbers."""

    # -- prepare

    def test_prepare_is_safe_twice(self, storage: Storage) -> None:
        job = storage.add(a_job())
        storage.prepare()
        assert storage.read(job.id) == job

    def test_a_prepared_storage_says_so(self, storage: Storage) -> None:
        assert storage.unprepared() in ("", None), "nothing more to prepare after that"

    def test_asking_whether_it_is_prepared_prepares_nothing(
        self, make: Callable[[], Storage]
    ) -> None:
        said = []
        for _ in range(2):
            one = make()
            said.append(one.unprepared())
            one.close()
        assert said[0] == said[1], "to ask `unprepared` has changed what it answers"
        assert "\n" not in (said[0] or ""), "more than one line"

    def test_prepare_is_safe_from_two_at_once(self, make: Callable[[], Storage]) -> None:
        stores = [make(), make()]
        together(*(store.prepare for store in stores))
        job = stores[0].add(a_job())
        assert stores[1].read(job.id) == job
        for store in stores:
            store.close()

    def test_prepare_refuses_a_newer_schema(
        self,
        storage: Storage,
        make: Callable[[], Storage],
        make_newer: Callable[[], None] | None,
    ) -> None:
        if make_newer is None:
            pytest.skip("no schema to make newer: supply the fixture `make_newer`")
        make_newer()
        newer = make()
        try:
            with pytest.raises(ConfigError) as refusal:
                newer.prepare()
            assert refusal.value.sentence
        finally:
            newer.close()

    # -- health

    def test_health_is_what_was_said_last(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        assert storage.health() == {}
        fine = Health(state=HealthState.OK, sentence="fine", since=LONG_AGO, heartbeat=LONG_AGO)
        down = Health(state=HealthState.DOWN, sentence="'gone' é", since=LONG_AGO, heartbeat=now())
        storage.set_health("manager", fine)
        storage.set_health("storage", fine)
        storage.set_health("manager", down)
        assert storage.health() == {"manager": down, "storage": fine}
        assert instances.restart(storage).health() == {"manager": down, "storage": fine}

    # -- accounts

    def test_accounts_are_an_accounts_or_none(self, storage: Storage) -> None:
        accounts = storage.accounts()
        assert accounts is None or isinstance(accounts, Accounts)

    def test_accounts_are_kept_where_the_contract_says_so(self, storage: Storage) -> None:
        if not self.keeps_accounts:
            pytest.skip("this storage keeps no accounts: `keeps_accounts = False`")
        assert storage.accounts() is not None, (
            "accounts() is None: set `keeps_accounts = False` where a storage keeps none"
        )

    # -- streams

    @thorough
    @given(data=json_values())
    def test_a_record_comes_back_as_it_was_given(
        self, storage: Storage, data: dict[str, Any]
    ) -> None:
        stream = new_id()
        storage.append(stream, data)
        assert [record.data for record in storage.records(stream)] == [data]

    def test_a_record_has_its_number_key_and_time(self, storage: Storage) -> None:
        plain = storage.append("audit", {"n": 1})
        keyed = storage.append("audit", {"n": 2}, key="k 'é")
        records = storage.records("audit")
        assert [(one.seq, one.key) for one in records] == [(plain, None), (keyed, "k 'é")]
        assert all(one.time.utcoffset() == timedelta(0) for one in records), "not in UTC"
        assert all(abs(one.time - now()) < timedelta(minutes=5) for one in records)

    def test_records_come_oldest_first_behind_a_number(self, storage: Storage) -> None:
        numbers = [storage.append("audit", {"n": n}) for n in range(4)]
        assert [one.data["n"] for one in storage.records("audit")] == [0, 1, 2, 3]
        assert [one.data["n"] for one in storage.records("audit", numbers[1])] == [2, 3]
        assert [one.data["n"] for one in storage.records("audit", numbers[0], limit=2)] == [1, 2]

    def test_each_record_has_a_larger_number_than_all_before(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        numbers = [storage.append("audit", {}), storage.append("audit", {}, key="k")]
        storage.trim("audit", numbers[-1])
        storage = instances.restart(storage)
        numbers += [storage.append("audit", {}, key="k"), storage.append("audit", {})]
        assert numbers[0] > 0, "`after=0` would leave the first one out"
        assert sorted(set(numbers)) == numbers, "also after a trim and a restart"

    def test_a_key_replaces_the_record_of_that_key(self, storage: Storage) -> None:
        storage.append("marks", {"n": 1}, key="a")
        storage.append("marks", {"n": 2}, key="b")
        newest = storage.append("marks", {"n": 3}, key="a")
        records = storage.records("marks")
        assert [(one.key, one.data["n"]) for one in records] == [("b", 2), ("a", 3)]
        assert records[-1].seq == newest

    def test_records_without_a_key_replace_nothing(self, storage: Storage) -> None:
        for _ in range(3):
            storage.append("audit", {"same": True})
        assert len(storage.records("audit")) == 3

    def test_streams_are_independent(self, storage: Storage) -> None:
        storage.append("one", {"n": 1}, key="k")
        newest = storage.append("two", {"n": 2}, key="k")
        storage.trim("two", newest)
        assert [one.data["n"] for one in storage.records("one")] == [1]
        assert storage.records("two") == []
        assert storage.records("never written") == []

    def test_trim_forgets_up_to_a_number(self, storage: Storage) -> None:
        numbers = [storage.append("audit", {"n": n}) for n in range(3)]
        storage.trim("audit", numbers[1])
        storage.trim("never written", 5)
        assert [one.data["n"] for one in storage.records("audit")] == [2]

    def test_trim_beyond_the_newest_hides_nothing_to_come(self, storage: Storage) -> None:
        newest = storage.append("audit", {"n": 1})
        storage.trim("audit", newest + 1000)
        storage.append("audit", {"n": 2})
        assert [one.data["n"] for one in storage.records("audit")] == [2], (
            "trim forgets what is there, not what will be"
        )

    def test_records_survive_a_restart(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        storage.append("audit", {"n": 1}, key="k")
        before = storage.records("audit")
        assert instances.restart(storage).records("audit") == before

    def test_records_appended_at_once_are_all_kept(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        stores = (storage, instances.open())
        numbers = together(*(partial(stores[n % 2].append, "audit", {"n": n}) for n in range(6)))
        assert len(set(numbers)) == 6, "one number twice"
        assert sorted(one.data["n"] for one in storage.records("audit")) == list(range(6))

    def test_one_record_of_a_key_remains_of_several_appended_at_once(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        stores = (storage, instances.open())
        together(*(partial(stores[n % 2].append, "marks", {"n": n}, key="k") for n in range(6)))
        assert len(storage.records("marks")) == 1
