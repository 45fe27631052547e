"""Storages with one promise broken each, about the schema, health and streams."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

from core.saboteurs import storages
from core.saboteurs.registry import breaks
from core.saboteurs.storages import MOMENT, Saboteur
from opus_core.testing.memory_universe import Stream
from opus_core.testing.storage_records import RecordPromises

fixtures = storages.fixtures


@breaks(RecordPromises, "test_prepare_is_safe_twice")
class PreparesAfresh(Saboteur):
    def prepare(self):
        super().prepare()
        self.universe.rows.clear()


@breaks(RecordPromises, "test_prepare_is_safe_from_two_at_once")
class PreparesAlone(Saboteur):
    def prepare(self):
        if getattr(self.universe, "preparing", False):
            raise ValueError("somebody else is at it")
        self.universe.preparing = True
        time.sleep(MOMENT)
        self.universe.preparing = False
        super().prepare()


@breaks(RecordPromises, "test_prepare_refuses_a_newer_schema")
class KnowsTheFuture(Saboteur):
    def prepare(self):
        self.universe.schema = 1


@breaks(RecordPromises, "test_health_is_what_was_said_last")
class FirstWordCounts(Saboteur):
    def set_health(self, component, health):
        self.universe.health.setdefault(component, health)


@breaks(RecordPromises, "test_health_is_what_was_said_last")
class HealthOfOneLife(Saboteur):
    def close(self):
        self.universe.health.clear()


@breaks(RecordPromises, "test_accounts_are_an_accounts_or_none")
class AccountsOfItsOwnKind(Saboteur):
    def accounts(self):
        return {}


@breaks(RecordPromises, "test_a_record_comes_back_as_it_was_given")
class RecordsWithoutNames(Saboteur):
    def append(self, stream, record, key=None):
        return super().append(stream, {"n": record["n"]} if "n" in record else {}, key)


@breaks(RecordPromises, "test_a_record_has_its_number_key_and_time")
class RecordsInAnotherTime(Saboteur):
    def records(self, stream, after=0, limit=1000):
        found = super().records(stream, after, limit)
        return [replace(one, time=one.time + timedelta(hours=1)) for one in found]


@breaks(RecordPromises, "test_records_come_oldest_first_behind_a_number")
class RecordsAtTheNumber(Saboteur):
    def records(self, stream, after=0, limit=1000):
        return super().records(stream, after - 1, limit)


@breaks(RecordPromises, "test_each_record_has_a_larger_number_than_all_before")
class NumbersAreGivenOutAgain(Saboteur):
    def append(self, stream, record, key=None):
        kept = self.universe.streams.setdefault(stream, Stream())
        kept.newest = kept.records[-1].seq if kept.records else 0
        return super().append(stream, record, key)


@breaks(
    RecordPromises,
    "test_a_key_replaces_the_record_of_that_key",
    "test_one_record_of_a_key_remains_of_several_appended_at_once",
)
class KeysAddUp(Saboteur):
    def append(self, stream, record, key=None):
        number = super().append(stream, record)
        last = self.universe.streams[stream].records[-1]
        self.universe.streams[stream].records[-1] = replace(last, key=key)
        return number


@breaks(RecordPromises, "test_a_key_replaces_the_record_of_that_key")
class KeysKeepTheirPlace(Saboteur):
    def append(self, stream, record, key=None):
        kept = self.universe.streams.get(stream, Stream()).records
        place = next((n for n, one in enumerate(kept) if key and one.key == key), None)
        number = super().append(stream, record, key)
        if place is not None:
            moved = self.universe.streams[stream].records
            moved.insert(place, moved.pop())
        return number


@breaks(
    RecordPromises,
    "test_records_without_a_key_replace_nothing",
    more="a stream without keys keeps its last record only",
)
class NoKeyIsAKey(Saboteur):
    def append(self, stream, record, key=None):
        if key is None:
            kept = self.universe.streams.setdefault(stream, Stream())
            kept.records = [one for one in kept.records if one.key is not None]
        return super().append(stream, record, key)


@breaks(RecordPromises, "test_streams_are_independent")
class TrimsEveryStream(Saboteur):
    def trim(self, stream, upto):
        if stream in self.universe.streams:
            for one in list(self.universe.streams):
                super().trim(one, upto)


@breaks(RecordPromises, "test_trim_forgets_up_to_a_number")
class TrimsBelow(Saboteur):
    def trim(self, stream, upto):
        super().trim(stream, upto - 1 if upto == 2 else upto)


@breaks(RecordPromises, "test_records_survive_a_restart")
class StreamsOfOneLife(Saboteur):
    def close(self):
        for stream in self.universe.streams.values():
            stream.records.clear()


@breaks(RecordPromises, "test_records_appended_at_once_are_all_kept")
class AppendsWithoutALock(Saboteur):
    def append(self, stream, record, key=None):
        kept = self.universe.streams.setdefault(stream, Stream())
        before = list(kept.records)
        time.sleep(MOMENT)
        with self.universe.changed:
            if key is None:
                kept.records = before
            return super().append(stream, record, key)


@breaks(RecordPromises, "test_one_record_of_a_key_remains_of_several_appended_at_once")
class LooksForTheKeyFirst(Saboteur):
    def append(self, stream, record, key=None):
        kept = self.universe.streams.setdefault(stream, Stream())
        old = [one.seq for one in kept.records if key and one.key == key]
        time.sleep(MOMENT)
        with self.universe.changed:
            number = super().append(stream, record)
            kept.records = [
                replace(one, key=key) if one.seq == number else one
                for one in kept.records
                if one.seq not in old
            ]
            return number


@breaks(
    RecordPromises,
    "test_trim_beyond_the_newest_hides_nothing_to_come",
    says="what is there, not what will be",
)
class TrimsTheFuture(Saboteur):
    def trim(self, stream, upto):
        super().trim(stream, upto)
        marks = self.universe.__dict__.setdefault("marks", {})
        marks[stream] = max(upto, marks.get(stream, 0))

    def records(self, stream, after=0, limit=1000):
        mark = self.universe.__dict__.get("marks", {}).get(stream, 0)
        return super().records(stream, max(after, mark), limit)


@breaks(
    RecordPromises,
    "test_accounts_are_kept_where_the_contract_says_so",
    says="set `keeps_accounts = False`",
)
class KeepsNoAccounts(Saboteur):
    def accounts(self):
        return None


@breaks(RecordPromises, "test_a_prepared_storage_says_so", says="nothing more to prepare")
class NeverReady(Saboteur):
    def unprepared(self):
        return "it has no tables yet"


@breaks(RecordPromises, "test_asking_whether_it_is_prepared_prepares_nothing")
class PreparesWhenAsked(Saboteur):
    def unprepared(self):
        prepared = getattr(self.universe, "prepared", False)
        self.universe.prepared = True
        return "" if prepared else "it has no tables yet"

    def prepare(self):
        super().prepare()
        self.universe.prepared = True
