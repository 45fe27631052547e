"""Storages with one promise broken each, about values, and about threads."""

from __future__ import annotations

import time
import unicodedata
from dataclasses import replace
from datetime import timedelta, timezone

from core.saboteurs import storages
from core.saboteurs.registry import breaks
from core.saboteurs.storages import Saboteur
from opus_core.errors import LimitReached
from opus_core.job import ANYONE
from opus_core.testing.storage_threads import ThreadPromises
from opus_core.testing.storage_values import ValuePromises

fixtures = storages.fixtures
ZONE = timezone(timedelta(hours=1))


class Promises(ValuePromises, ThreadPromises):
    """What the saboteurs below are held against."""


@breaks(Promises, "test_every_text_comes_back_to_the_character", says="changed by storing it")
class OneKindOfLineEnd(Saboteur):
    def add(self, job, *, limits=None):
        added = super().add(job, limits=limits)
        self.put(replace(added, run_id=(job.run_id or "").replace("\r\n", "\n") or None))
        return added


@breaks(Promises, "test_texts_that_look_alike_are_told_apart", says="something else than its bytes")
class NormalisesOwners(Saboteur):
    def _matches(self, job, query):
        def composed(text):
            return unicodedata.normalize("NFC", text) if isinstance(text, str) else text

        job = replace(job, owner=composed(job.owner))
        return super()._matches(job, replace(query, owner=composed(query.owner)))


@breaks(Promises, "test_texts_that_look_alike_are_told_apart", says="journal takes another owner")
class PadsOwners(Saboteur):
    def changes(self, after, *, owner=ANYONE, limit=1000):
        number, found = super().changes(after, limit=limit)
        if isinstance(owner, str):
            found = [one for one in found if (one.owner or "").rstrip() == owner.rstrip()]
        return number, found


@breaks(
    Promises, "test_streams_and_keys_that_look_alike_are_told_apart", says="replaced the record"
)
class KeysOfAnyCase(Saboteur):
    def append(self, stream, record, key=None):
        return super().append(stream, record, key and key.lower())


@breaks(Promises, "test_streams_and_keys_that_look_alike_are_told_apart", says="belongs to another")
class StreamsWithoutBlanks(Saboteur):
    def append(self, stream, record, key=None):
        return super().append(stream.strip(), record, key)

    def records(self, stream, after=0, limit=1000):
        return super().records(stream.strip(), after, limit)


@breaks(Promises, "test_a_job_of_megabytes_comes_back", says="changed or cut")
class CutsMegabytes(Saboteur):
    def add(self, job, *, limits=None):
        added = super().add(job, limits=limits)
        if any(len(one.value) > 2**20 for one in job.parameters):
            cut = tuple(replace(one, value=one.value[: 2**20]) for one in job.parameters)
            self.put(replace(added, parameters=cut))
        return added


@breaks(Promises, "test_instants_are_answered_in_utc", says="read answers instants that are not")
class ReadsInLocalTime(Saboteur):
    def read(self, job_id, *, doomed=False):
        job = super().read(job_id, doomed=doomed)
        return replace(job, created=job.created.astimezone(ZONE))


@breaks(Promises, "test_instants_are_answered_in_utc", says="health answers instants that are not")
class HealthInLocalTime(Saboteur):
    def health(self):
        found = super().health().items()
        return {name: replace(one, since=one.since.astimezone(ZONE)) for name, one in found}


@breaks(
    Promises,
    "test_the_journal_and_records_tell_whole_milliseconds",
    says="finer than a job document can show",
)
class TellsMicroseconds(Saboteur):
    def changes(self, after, *, owner=ANYONE, limit=1000):
        number, found = super().changes(after, owner=owner, limit=limit)
        return number, [replace(one, time=one.time + timedelta(microseconds=1)) for one in found]


@breaks(Promises, "test_the_kinds_of_values_in_a_record_are_kept", says="one of another kind")
class WholeNumbersOnly(Saboteur):
    def append(self, stream, record, key=None):
        whole = {k: int(v) if isinstance(v, float) else v for k, v in record.items()}
        return super().append(stream, whole, key)


@breaks(
    Promises,
    "test_every_method_may_be_called_from_several_threads_at_once",
    says="called from several threads at once: .*busy",
)
class OneNoteAtATime(Saboteur):
    noting = 0

    def note(self, job_id, info):
        self.noting += 1
        time.sleep(0.02)
        alone = self.noting == 1
        self.noting -= 1
        if not alone:
            raise LimitReached("busy")
        super().note(job_id, info)


@breaks(
    Promises,
    "test_every_method_may_be_called_from_several_threads_at_once",
    says="take_pokes answered another thread's question",
)
class OneQuestionForAll(Saboteur):
    asked = None

    def poke(self, what, *, job_id=None, native_id=None):
        self.asked = native_id
        time.sleep(0.02)
        return super().poke(what, job_id=job_id, native_id=self.asked)
