"""Promises of `Storage` about what it cannot do: then nothing has been changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import pytest

from opus_core.backends import Health, HealthState, JobQuery, Limits, Storage
from opus_core.errors import StorageFull, Unavailable, UnknownJob
from opus_core.job import Idempotency, Job, Parameter, Phase
from opus_core.testing.backend import Instances, MakeContext
from opus_core.testing.samples import (
    DOOMED,
    LONG_AGO,
    a_job,
    a_running_job,
    a_session,
    a_token,
    an_account,
)
from opus_core.testing.storage_kit import (
    StorageKit,
)

HALF_A_MEGABYTE: Final = "x" * 500_000
FINE: Final = Health(state=HealthState.OK, sentence="fine", since=LONG_AGO, heartbeat=LONG_AGO)
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

    def test_no_other_call_that_does_not_reach_the_store_changes_anything(
        self, storage: Storage, instances: Instances[Storage], unavailable: MakeContext | None
    ) -> None:
        if unavailable is None:
            pytest.skip("the store can always be reached: supply the fixture `unavailable`")
        job = storage.add(a_running_job())
        number = storage.append("kit", {})
        accounts = storage.accounts()
        if accounts:
            accounts.add_user(an_account())
        before = _everything(storage, job)
        calls: dict[str, Callable[[], object]] = {
            "poke": lambda: storage.poke("event", job_id=job.id),
            "delete": lambda: storage.delete(job.id, expected=1),
            "lease": lambda: storage.lease("kit", "somebody", 600),
            "set_health": lambda: storage.set_health("kit", FINE),
            "trim": lambda: storage.trim("kit", number),
        }
        if accounts:
            calls |= {
                "add_user": partial(accounts.add_user, an_account("bob")),
                "save_user": partial(accounts.save_user, an_account(active=False), expected=1),
                "delete_user": partial(accounts.delete_user, "ann"),
                "add_token": partial(accounts.add_token, a_token()),
                "add_session": partial(accounts.add_session, a_session()),
            }
        with unavailable():
            for method, call in calls.items():
                try:
                    call()
                except Unavailable as error:
                    assert error.sentence.strip(), f"the error of {method} says nothing"  # noqa: PT017
                else:
                    pytest.fail(f"{method} raises Unavailable where the store cannot be reached")
        assert _everything(storage, job) == before, "after Unavailable nothing has been changed"
        again = instances.restart(storage)
        assert _everything(again, job) == before, "after Unavailable nothing has been changed"
        assert again.lease("kit", "me", 60).holder == "me", "the lease was taken after all"

    def test_what_is_asked_without_the_store_is_answered_truly_or_not_at_all(
        self, storage: Storage, unavailable: MakeContext | None
    ) -> None:
        if unavailable is None:
            pytest.skip("the store can always be reached: supply the fixture `unavailable`")
        job = storage.add(a_running_job(destruction=LONG_AGO))
        storage.append("kit", {})
        storage.set_health("kit", FINE)
        newest = storage.changes(-1)[0]
        questions: dict[str, Callable[[], object]] = {
            "read": lambda: storage.read(job.id),
            "summary": lambda: storage.summary(job.id),
            "get_list": lambda: list(storage.get_list(JobQuery())),
            "todo": lambda: storage.todo(10),
            "live": lambda: list(storage.live()),
            "expired": lambda: storage.expired(10),
            "changes": lambda: storage.changes(0),
            "wait_change": lambda: storage.wait_change(newest, 0.01),
            "records": lambda: storage.records("kit"),
            "health": lambda: storage.health(),
        }
        truth = {method: ask() for method, ask in questions.items()}
        with unavailable():
            for method, ask in questions.items():
                try:
                    answer = ask()
                except Unavailable:
                    continue
                assert answer == truth[method], f"without the store {method} makes something up"


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
    try:
        stored = storage.read(job.id, doomed=True)
    except UnknownJob:  # deleted after all: to be compared, and not to be stumbled over
        stored = None
    return stored, storage.changes(0), storage.records("kit")


def _everything(storage: Storage, job: Job) -> tuple[Any, ...]:
    accounts = storage.accounts()
    users = accounts.get_users() if accounts else []
    belongings = [accounts.get_tokens(user.name) for user in users] if accounts else []
    poked = [one.id for one in storage.todo(1000)]
    return *_all(storage, job), storage.health(), users, belongings, poked
