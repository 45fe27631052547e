"""Promises of `Storage` about what it cannot do: then nothing has been changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from opus_core.backends import Limits, Storage
from opus_core.errors import StorageFull, Unavailable
from opus_core.job import Idempotency, Job, Parameter, Phase
from opus_core.testing.backend import Instances
from opus_core.testing.samples import DOOMED, a_job
from opus_core.testing.storage_kit import MakeContext, StorageKit

HALF_A_MEGABYTE: Final = "x" * 500_000
KEY: Final = Idempotency(key="once", body="a" * 64)

writes = pytest.mark.parametrize("write", ["add", "save", "note", "append"])


class FaultPromises(StorageKit):
    """A call that fails for want of room or of the store leaves all as it was."""

    @writes
    def test_what_finds_no_room_changes_nothing(
        self,
        storage: Storage,
        instances: Instances[Storage],
        full: MakeContext | None,
        write: str,
    ) -> None:
        if full is None:
            pytest.skip("the store is never full: supply the fixture `full`")
        _changes_nothing(storage, instances, full, StorageFull, write)

    @writes
    def test_what_does_not_reach_the_store_changes_nothing(
        self,
        storage: Storage,
        instances: Instances[Storage],
        unavailable: MakeContext | None,
        write: str,
    ) -> None:
        if unavailable is None:
            pytest.skip("the store can always be reached: supply the fixture `unavailable`")
        _changes_nothing(storage, instances, unavailable, Unavailable, write)


def _changes_nothing(
    storage: Storage,
    instances: Instances[Storage],
    fault: MakeContext,
    error: type[Unavailable],
    write: str,
) -> None:
    job = storage.add(a_job(job_info={"node": "n1"}))
    new = a_job(idempotency=KEY)
    before = _all(storage, job)
    with fault(), pytest.raises(error) as refusal:
        _writes(storage, job, new)[write]()
    assert refusal.value.sentence.strip(), "the error says nothing"
    assert _all(storage, job) == before
    again = instances.restart(storage)
    assert _all(again, job) == before
    # Neither the hour nor the key knows of a job that is not there.
    assert again.add(new, limits=Limits(per_hour=2)).version == 1


def _writes(storage: Storage, job: Job, new: Job) -> dict[str, Callable[[], object]]:
    large = (Parameter(name="x", value=HALF_A_MEGABYTE),)
    changed = replace(job, phase=Phase.ABORTED, marks=DOOMED, parameters=large)
    return {
        "add": lambda: storage.add(replace(new, parameters=large), limits=Limits(per_hour=2)),
        "save": lambda: storage.save(changed, expected=1),
        "note": lambda: storage.note(job.id, {"node": "n2", "text": HALF_A_MEGABYTE}),
        "append": lambda: storage.append("kit", {"text": HALF_A_MEGABYTE}),
    }


def _all(storage: Storage, job: Job) -> tuple[Any, ...]:
    return storage.read(job.id, doomed=True), storage.changes(0), storage.records("kit")
