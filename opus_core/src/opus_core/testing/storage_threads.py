"""Promises of `Storage` about threads: every method, from several of them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from opus_core.backends import Health, HealthState, JobQuery, Storage
from opus_core.job import Phase, Work
from opus_core.testing.samples import LONG_AGO, a_running_job
from opus_core.testing.storage_kit import StorageKit
from opus_core.testing.timing import race

FINE = Health(state=HealthState.OK, sentence="fine", since=LONG_AGO, heartbeat=LONG_AGO)


class ThreadPromises(StorageKit):
    """One instance serves a whole server, whose threads do not know of each other."""

    def test_every_method_may_be_called_from_several_threads_at_once(
        self, storage: Storage
    ) -> None:
        def live_a_life(number: int) -> str:
            job = storage.add(a_running_job(owner=f"user {number}", native_ids=(f"id {number}",)))
            storage.note(job.id, {"thread": str(number)})
            asked: dict[str, Callable[[], Any]] = {
                "read": lambda: storage.read(job.id).job_info == {"thread": str(number)},
                "summary": lambda: storage.summary(job.id).owner == job.owner,
                "get_list": lambda: _ids(storage.get_list(JobQuery(owner=job.owner))) == [job.id],
                "todo": lambda: job.id in _ids(storage.todo(1000)),
                "live": lambda: job.id in _ids(storage.live()),
                "expired": lambda: storage.expired(10) == [],
                "poke": lambda: storage.poke("event", native_id=f"id {number}") == 1,
                "take_pokes": lambda: storage.take_pokes(job.id) == {"event"},
                "changes": lambda: len(storage.changes(0, owner=job.owner)[1]) == 1,
                "wait_change": lambda: storage.wait_change(0, 1),
                "append": lambda: storage.append(f"stream {number}", {}) > 0,
                "records": lambda: len(storage.records(f"stream {number}")) == 1,
                "trim": lambda: storage.trim(f"stream {number}", 0) is None,
                "lease": lambda: storage.lease(f"lease {number}", "me", 60).holder == "me",
                "release": lambda: storage.release(f"lease {number}", "me") is None,
                "set_health": lambda: storage.set_health(f"part {number}", FINE) is None,
                "health": lambda: storage.health()[f"part {number}"] == FINE,
            }
            for method, holds in asked.items():
                if not holds():
                    return f"{method} answered another thread's question"
            ended = replace(job, phase=Phase.COMPLETED, work=Work.RELEASED)
            storage.save(ended, expected=1)
            storage.delete(job.id, expected=2)
            return ""

        outcomes = race(*(partial(live_a_life, number) for number in range(6)))
        wrong = [one for one in outcomes if one]
        assert not wrong, f"every method may be called from several threads at once: {wrong}"


def _ids(found: Any) -> list[str]:  # noqa: ANN401  jobs of any kind
    return [one.id for one in found]
