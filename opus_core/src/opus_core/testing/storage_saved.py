"""Promises of `Storage` about what is found after a save: the job as it is now, everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from opus_core.backends import SUPERVISOR, JobQuery, Limits, Storage
from opus_core.errors import Conflict, LimitReached, OpusError, UnknownJob
from opus_core.job import DefinitionRef, Job, Parameter, Phase, Work, now
from opus_core.testing.backend import Instances
from opus_core.testing.samples import DOOMED, LONG_AGO, a_job, a_job_of_bytes, a_running_job
from opus_core.testing.storage_kit import StorageKit
from opus_core.testing.timing import race

ALL = 1000


class SavedPromises(StorageKit):
    """A job is found by what was saved last, and a save that was refused is found nowhere."""

    def test_lists_show_a_job_as_it_was_saved_last(self, storage: Storage) -> None:
        job = storage.add(a_job(created=LONG_AGO, run_id="before"))
        saved = storage.save(
            replace(
                job,
                owner="bob",
                definition=DefinitionRef("fits", 2),
                run_id="later",
                phase=Phase.ERROR,
                ended=now(),
                parameters=(Parameter(name="x", value="sunspot"),),
            ),
            expected=1,
        )
        assert storage.summary(job.id) == saved.summary(), "summary shows what was before"
        since = LONG_AGO - timedelta(days=1)
        for query in (
            JobQuery(owner="bob"),
            JobQuery(definition="fits"),
            JobQuery(phases=frozenset({Phase.ERROR})),
            JobQuery(text="later"),
            JobQuery(text="sunspot", owner="bob", after=since),
        ):
            found = list(storage.get_list(query))
            assert found == [saved.summary()], f"not found by what was saved: {query}"
        for query in (JobQuery(owner="ann"), JobQuery(text="before")):
            assert list(storage.get_list(query)) == [], f"found by what it was before: {query}"

    def test_native_ids_are_those_that_were_saved_last(self, storage: Storage) -> None:
        job = storage.add(a_running_job(native_ids=("7", "8")))
        storage.save(replace(job, native_ids=("8", "9")), expected=1)
        assert sorted(one.ref.native_id or "" for one in storage.live()) == ["8", "9"]
        found = {one: storage.poke("event", native_id=one) for one in ("7", "8", "9")}
        assert found == {"7": 0, "8": 1, "9": 1}, "poke looks among native ids of before"

    def test_a_destruction_that_was_saved_counts(self, storage: Storage) -> None:
        sooner, later = (
            storage.add(a_job(destruction=one)) for one in (now() + timedelta(days=1), LONG_AGO)
        )
        storage.save(replace(sooner, destruction=LONG_AGO), expected=1)
        storage.save(replace(later, destruction=None), expected=1)
        assert storage.expired(ALL) == [(sooner.id, 2)], "expired goes by the time of before"

    def test_the_journal_tells_of_a_job_as_it_was_saved(self, storage: Storage) -> None:
        job = storage.add(a_job(run_id="before"))
        newest = storage.changes(-1)[0]
        storage.save(replace(job, phase=Phase.QUEUED, run_id="later"), expected=1)
        (change,) = storage.changes(newest)[1]
        assert (change.run_id, change.owner, change.definition) == (
            "later",
            job.owner,
            job.definition,
        )

    def test_limits_count_what_was_saved_last(self, storage: Storage) -> None:
        small, ended = storage.add(a_job_of_bytes(1)), storage.add(a_running_job())
        storage.save(replace(a_job_of_bytes(900), id=small.id), expected=1)
        storage.save(replace(ended, phase=Phase.COMPLETED), expected=1)
        storage.add(a_job_of_bytes(100, phase=Phase.QUEUED), limits=Limits(active=1, bytes=1000))
        with pytest.raises(LimitReached):
            storage.add(a_job_of_bytes(1), limits=Limits(bytes=1000))

    @pytest.mark.parametrize("refused", ["version", "epoch", "limit"])
    def test_a_refused_save_changes_nothing(self, storage: Storage, refused: str) -> None:
        storage.add(a_running_job())
        for holder in ("old", "new"):
            storage.lease(SUPERVISOR, holder, 60)
            storage.release(SUPERVISOR, holder)
        job = storage.add(a_job(work=Work.WANTED, native_ids=("7",), job_info={"node": "n1"}))
        job = storage.save(job, expected=1, due=None)
        before = _all(storage, job)
        other = replace(
            job,
            phase=Phase.QUEUED,
            work=Work.LIVE,
            tag="t",
            run_id="late",
            native_ids=("8",),
            marks=DOOMED,
            destruction=LONG_AGO,
        )
        save = partial(storage.save, other, due=0.0)
        calls: dict[str, tuple[Callable[[], Job], type[OpusError]]] = {
            "version": (partial(save, expected=1), Conflict),
            "epoch": (partial(save, expected=2, epoch=1), Conflict),
            "limit": (partial(save, expected=2, limits=Limits(active=1)), LimitReached),
        }
        call, error = calls[refused]
        with pytest.raises(error) as refusal:
            call()
        assert refusal.value.sentence.strip(), "the error says nothing"
        assert _all(storage, job) == before, f"a save refused by {refused} has changed something"

    def test_limits_active_holds_against_jobs_saved_at_once(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        stores = (storage, instances.open())
        jobs = [replace(storage.add(a_job()), phase=Phase.QUEUED) for _ in range(6)]
        outcomes = race(
            *(
                partial(stores[n % 2].save, job, expected=1, limits=Limits(active=2))
                for n, job in enumerate(jobs)
            )
        )
        saved = [one for one in outcomes if isinstance(one, Job)]
        refused = [one for one in outcomes if isinstance(one, LimitReached)]
        assert (len(saved), len(refused)) == (2, 4), f"of 6 saved at once 2 may be: {outcomes}"

    def test_notes_made_while_others_save_are_all_kept(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        other = instances.open()
        job = storage.add(a_job())
        count = 12

        def save() -> None:
            for version in range(1, count + 1):
                storage.save(job, expected=version)

        def note() -> None:
            for number in range(count):
                other.note(job.id, {f"k{number}": "v"})

        failed = [one for one in race(save, note) if one is not None]
        assert not failed, failed
        kept = storage.read(job.id).job_info
        assert len(kept) == count, f"a save has written over a note: {sorted(kept)}"

    def test_of_a_save_and_a_delete_at_once_one_succeeds(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        other = instances.open()
        for _ in range(5):
            job = storage.add(a_job())
            saved, deleted = race(
                partial(storage.save, job, expected=1), partial(other.delete, job.id, expected=1)
            )
            if isinstance(saved, Job):
                assert isinstance(deleted, Conflict), "both a save and a delete have succeeded"
                assert storage.read(job.id) == saved, "what was saved is not there"
            else:
                assert isinstance(saved, Conflict | UnknownJob), saved
                assert deleted is None, f"neither has succeeded: {deleted}"


def _all(storage: Storage, job: Job) -> list[object]:
    """All that can be told of a job."""
    return [
        storage.read(job.id, doomed=True),
        list(storage.get_list(JobQuery())),
        storage.changes(0),
        [one.id for one in storage.todo(ALL)],
        [one.id for one in storage.live()],
        storage.expired(ALL),
        storage.poke("info", native_id="8"),
    ]
