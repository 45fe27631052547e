"""Storages with one promise broken each, about what fails and leaves all as it was."""

from __future__ import annotations

from dataclasses import replace

from core.saboteurs import storages
from core.saboteurs.registry import breaks
from core.saboteurs.storages import Saboteur
from opus_core.errors import StorageFull, Unavailable, UnknownJob
from opus_core.testing.memory_universe import Key
from opus_core.testing.storage_faults import FaultPromises

fixtures = storages.fixtures

NO_ROOM = "test_what_finds_no_room_changes_nothing"
NO_STORE = "test_what_does_not_reach_the_store_changes_nothing"


@breaks(FaultPromises, NO_ROOM, NO_STORE)
class CountsWhatFailed(Saboteur):
    def add(self, job, *, limits=None):
        try:
            return super().add(job, limits=limits)
        except Unavailable:
            self.universe.created.append((job.quota_key, self.universe.now()))
            raise


@breaks(FaultPromises, NO_ROOM)
class KeepsTheKeyOfWhatFailed(Saboteur):
    def add(self, job, *, limits=None):
        try:
            return super().add(job, limits=limits)
        except StorageFull:
            key = (job.quota_key, job.idempotency.key)
            self.universe.keys[key] = Key(job.id, job.idempotency.body, self.universe.now())
            raise


@breaks(FaultPromises, NO_ROOM)
class JournalsBeforeItSaves(Saboteur):
    def save(self, job, **how):
        try:
            return super().save(job, **how)
        except StorageFull:
            self.write(job, self.stored(job.id).phase, job.phase)
            raise


@breaks(FaultPromises, NO_ROOM)
class SavesByHalves(Saboteur):
    def save(self, job, **how):
        try:
            return super().save(job, **how)
        except StorageFull:
            self.put(replace(self.stored(job.id), phase=job.phase))
            raise


@breaks(FaultPromises, NO_ROOM)
class NotesInSilence(Saboteur):
    def note(self, job_id, info):
        try:
            super().note(job_id, info)
        except StorageFull:
            return


@breaks(FaultPromises, NO_STORE)
class AppendsInItsOwnWords(Saboteur):
    def append(self, stream, record, key=None):
        try:
            return super().append(stream, record, key)
        except StorageFull:
            raise
        except Unavailable as error:
            raise ConnectionError("connection refused") from error


NO_OTHER = "test_no_other_call_that_does_not_reach_the_store_changes_anything"
TRULY = "test_what_is_asked_without_the_store_is_answered_truly_or_not_at_all"


@breaks(FaultPromises, NO_OTHER, says="poke raises Unavailable where the store cannot be reached")
class PokesInSilence(Saboteur):
    def poke(self, what, *, job_id=None, native_id=None):
        try:
            return super().poke(what, job_id=job_id, native_id=native_id)
        except Unavailable:
            return 0


@breaks(FaultPromises, NO_OTHER, says="after Unavailable nothing has been changed")
class DeletesAndThenSaysSo(Saboteur):
    def delete(self, job_id, *, expected):
        try:
            super().delete(job_id, expected=expected)
        except Unavailable:
            del self.universe.rows[job_id]
            raise


@breaks(FaultPromises, NO_OTHER, says="the lease was taken after all")
class TakesALeaseAndSaysNot(Saboteur):
    def lease(self, name, holder, seconds):
        try:
            return super().lease(name, holder, seconds)
        except Unavailable:
            fault, self.universe.fault = self.universe.fault, None
            super().lease(name, holder, seconds)
            self.universe.fault = fault
            raise


@breaks(FaultPromises, TRULY, says="without the store todo makes something up")
class NothingToDoWithoutTheStore(Saboteur):
    def todo(self, limit, exclude=()):
        return [] if self.universe.fault else super().todo(limit, exclude)


@breaks(FaultPromises, TRULY, says="there is no job")
class KnowsNoJobWithoutTheStore(Saboteur):
    def summary(self, job_id):
        if isinstance(self.universe.fault, Unavailable):
            raise UnknownJob(job_id)
        return super().summary(job_id)
