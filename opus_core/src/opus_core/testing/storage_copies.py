"""Promises of `Storage.copy_into`: all of it or nothing, or a refusal in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from opus_core.backends import Health, HealthState, JobQuery, Limits, Storage
from opus_core.errors import ConfigError, LimitReached
from opus_core.job import Phase, now
from opus_core.testing.memory import MemoryStorage
from opus_core.testing.samples import DOOMED, LONG_AGO, a_job, a_running_job, an_account
from opus_core.testing.storage_kit import StorageKit
from opus_core.testing.wording import plain, worded


class CopyPromises(StorageKit):
    """A copy goes on as the original would have."""

    @pytest.fixture
    def target(self, empty: Callable[[], Storage] | None) -> Iterator[Storage]:
        """A prepared storage with nothing in it, into which is copied."""
        if not self.copies:
            pytest.skip("this storage copies into none: `copies = False`")
        if empty is None:
            pytest.skip("there is nothing to copy into: supply the fixture `empty`")
        other = worded(empty())
        other.prepare()
        yield other
        other.close()

    def test_a_copy_has_all_that_was_kept(self, storage: Storage, target: Storage) -> None:
        _fill(storage)
        before = _all(storage)
        copied = storage.copy_into(target)
        assert all(isinstance(one, int) for one in copied.values()), "it answers how much of what"
        assert sum(copied.values()) > 0, "it answers that nothing was copied"
        assert _all(target) == before, "the copy differs from what was copied"
        assert _all(storage) == before, "copying has changed what was copied"

    def test_numbers_go_on_in_a_copy(self, storage: Storage, target: Storage) -> None:
        _fill(storage)
        newest, number = storage.changes(-1)[0], storage.append("kit", {"last": True})
        storage.trim("kit", number)
        storage.copy_into(target)
        target.add(a_job())
        assert target.changes(newest)[1], "the journal of a copy begins again"
        assert target.append("kit", {}) > number, "numbers of records are given out again"
        with pytest.raises(LimitReached):
            target.add(a_job(), limits=Limits(per_hour=2))

    def test_nothing_is_copied_into_what_has_something_in_it(
        self, storage: Storage, target: Storage
    ) -> None:
        _fill(storage)
        target.append("other", {})
        before = _all(target)
        with pytest.raises(ConfigError) as refusal:
            storage.copy_into(target)
        assert plain(refusal.value), "the refusal is no sentence"
        assert _all(target) == before, "a copy that was refused has left something behind"

    def test_a_copy_that_nobody_has_written_is_refused(self, storage: Storage) -> None:
        target = MemoryStorage(MemoryStorage.Options(universe="kit copies"))
        storage.add(a_job())
        try:
            with pytest.raises(ConfigError) as refusal:
                storage.copy_into(target)
            assert plain(refusal.value), "copy_into raises ConfigError with a sentence"
            assert target.changes(0) == (0, []), "refused, and something was copied"
        finally:
            MemoryStorage.forget("kit copies")


def _fill(storage: Storage) -> None:
    job = storage.add(a_job(job_info={"a": "1"}))
    storage.save(replace(job, phase=Phase.QUEUED), expected=1, due=3600)
    storage.add(a_running_job(marks=DOOMED))
    storage.add(a_job(owner=None, destruction=LONG_AGO))
    storage.poke("event", job_id=job.id)
    storage.append("kit", {"n": 1}, key="k")
    fine = Health(state=HealthState.OK, sentence="fine", since=LONG_AGO, heartbeat=now())
    storage.set_health("kit", fine)
    accounts = storage.accounts()
    if accounts:
        accounts.add_user(an_account())


def _all(storage: Storage) -> list[object]:
    accounts = storage.accounts()
    newest, changes = storage.changes(0)
    ids = {change.job_id for change in changes}
    return [
        {job_id: storage.read(job_id, doomed=True) for job_id in ids},
        list(storage.get_list(JobQuery())),
        sorted(job.id for job in storage.todo(1000)),
        list(storage.live()),
        storage.expired(1000),
        (newest, changes),
        storage.records("kit"),
        storage.records("other"),
        storage.health(),
        accounts and accounts.get_users(),
    ]
