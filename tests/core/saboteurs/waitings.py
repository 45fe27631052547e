"""Storages with one promise broken each, about waiting for a change."""

from __future__ import annotations

import time

from core.saboteurs import storages
from core.saboteurs.registry import breaks
from core.saboteurs.storages import Saboteur
from opus_core.testing.storage_waiting import WaitPromises
from opus_core.testing.timing import PATIENCE

fixtures = storages.fixtures


@breaks(WaitPromises, "test_wait_change_answers_at_once_for_what_is_there")
class WaitsForTheNext(Saboteur):
    def wait_change(self, after, seconds):
        with self.universe.changed:
            self.universe.changed.wait(seconds)
            return self.universe.newest > after


@breaks(
    WaitPromises,
    "test_wait_change_answers_false_when_nothing_comes",
    "test_wait_change_waits_as_long_as_it_was_told",
)
class SeesWhatIsNotThere(Saboteur):
    def wait_change(self, after, seconds):
        super().wait_change(after, seconds)
        return True


@breaks(
    WaitPromises,
    "test_wait_change_sees_what_another_instance_writes",
    "test_wait_change_wakes_everybody_who_waits",
)
class SleepsSoundly(Saboteur):
    def wait_change(self, after, seconds):
        if self.universe.newest > after:
            return True
        time.sleep(seconds)
        return False


@breaks(WaitPromises, "test_wait_change_waits_as_long_as_it_was_told", says="gave up after 0.0")
class NeverWaits(Saboteur):
    def wait_change(self, after, seconds):
        return super().wait_change(after, seconds if seconds > 1 else 0)


@breaks(
    WaitPromises, "test_wait_change_answers_false_when_nothing_comes", says="longer than it was"
)
class WaitsTooLong(Saboteur):
    def wait_change(self, after, seconds):
        return super().wait_change(after, PATIENCE if seconds == 0.02 else seconds)


@breaks(WaitPromises, "test_wait_change_wakes_everybody_who_waits", says="of 4 who waited 1 w")
class WakesOne(Saboteur):
    def wait_change(self, after, seconds):
        with self.universe.changed:
            waiting = self.universe.__dict__.setdefault("waiting", [])
            waiting.append(self)
            first = len(waiting) == 1
        return first and super().wait_change(after, seconds)
