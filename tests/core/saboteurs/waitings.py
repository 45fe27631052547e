"""Storages with one promise broken each, about waiting for a change."""

from __future__ import annotations

import time

from core.saboteurs import storages
from core.saboteurs.registry import breaks
from core.saboteurs.storages import Saboteur
from opus_core.testing.storage_waiting import WaitPromises

fixtures = storages.fixtures


@breaks(WaitPromises, "test_wait_change_answers_at_once_for_what_is_there")
class WaitsForTheNext(Saboteur):
    def wait_change(self, after, seconds):
        with self.universe.changed:
            self.universe.changed.wait(seconds)
            return self.universe.newest > after


@breaks(WaitPromises, "test_wait_change_answers_false_when_nothing_comes")
class SeesWhatIsNotThere(Saboteur):
    def wait_change(self, after, seconds):
        super().wait_change(after, seconds)
        return True


@breaks(WaitPromises, "test_wait_change_sees_what_another_instance_writes")
class SleepsSoundly(Saboteur):
    def wait_change(self, after, seconds):
        if self.universe.newest > after:
            return True
        time.sleep(seconds)
        return False
