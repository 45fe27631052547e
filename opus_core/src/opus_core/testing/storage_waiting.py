"""Promises of `Storage.wait_change`: it wakes whoever waits, and neither early nor late."""

from __future__ import annotations

import threading
import time

from opus_core.backends import Storage
from opus_core.job import Job
from opus_core.testing.backend import Instances
from opus_core.testing.samples import a_job
from opus_core.testing.storage_kit import StorageKit
from opus_core.testing.timing import PATIENCE, eventually, together


class WaitPromises(StorageKit):
    """Who waits for a change hears of it soon, and of nothing else."""

    # -- wait_change

    def test_wait_change_answers_at_once_for_what_is_there(self, storage: Storage) -> None:
        storage.add(a_job())
        begun = time.monotonic()
        assert storage.wait_change(0, PATIENCE) is True
        assert time.monotonic() - begun < PATIENCE / 2, "waited although an entry was there"

    def test_wait_change_answers_false_when_nothing_comes(self, storage: Storage) -> None:
        storage.add(a_job())
        newest = storage.changes(-1)[0]
        begun = time.monotonic()
        assert storage.wait_change(newest, 0.02) is False
        assert time.monotonic() - begun < PATIENCE / 2, "waited longer than it was told"

    def test_wait_change_waits_as_long_as_it_was_told(self, storage: Storage) -> None:
        storage.add(a_job())
        newest = storage.changes(-1)[0]
        begun = time.monotonic()
        assert storage.wait_change(newest, 0.15) is False
        waited = time.monotonic() - begun
        assert waited >= 0.14, f"gave up after {waited:.3f} s of the 0.15 s it was to wait"

    def test_wait_change_wakes_everybody_who_waits(self, storage: Storage) -> None:
        newest = storage.changes(-1)[0]
        waiting = threading.Semaphore(0)

        def wait() -> bool:
            waiting.release()
            return storage.wait_change(newest, 3 * PATIENCE)

        def write() -> bool:
            for _ in range(4):
                waiting.acquire(timeout=PATIENCE)
            storage.add(a_job())
            return True

        woken = together(wait, wait, wait, wait, write)
        assert all(woken), f"of 4 who waited {sum(woken) - 1} were told of the change"

    def test_wait_change_sees_what_another_instance_writes(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        other = instances.open()
        newest = storage.changes(-1)[0]
        woken = threading.Event()

        def wait() -> None:
            if storage.wait_change(newest, 3 * PATIENCE):
                woken.set()

        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        job: Job = other.add(a_job())
        eventually(woken.is_set, f"wait_change noticed that job {job.id} was added")
        waiting.join(PATIENCE)
