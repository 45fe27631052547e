"""Storages with one promise broken each, about leases."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from core.saboteurs import storages
from core.saboteurs.registry import breaks
from core.saboteurs.storages import MOMENT, Saboteur
from opus_core.testing.storage_lease import LeasePromises

fixtures = storages.fixtures


@breaks(LeasePromises, "test_a_free_lease_is_taken")
class LeasesInLocalTime(Saboteur):
    def lease(self, name, holder, seconds):
        lease = super().lease(name, holder, seconds)
        return replace(lease, until=lease.until.astimezone(timezone(timedelta(hours=1))))


@breaks(LeasePromises, "test_a_lease_is_for_seconds_from_now", "test_the_holder_renews_its_lease")
class LeasesOfOneLength(Saboteur):
    def lease(self, name, holder, seconds):
        lease = super().lease(name, holder, seconds)
        fixed = datetime(2100, 1, 1, tzinfo=lease.until.tzinfo)
        return replace(lease, until=fixed)


@breaks(
    LeasePromises,
    "test_a_standing_lease_is_answered_and_not_taken",
    more="who takes what others hold breaks every promise of a lease",
)
class LeasesAreTaken(Saboteur):
    def lease(self, name, holder, seconds):
        standing = self.universe.leases.get(name)
        if standing:
            self.release(name, standing.holder)
        return super().lease(name, holder, seconds)


@breaks(
    LeasePromises,
    "test_the_holder_renews_its_lease",
    "test_the_epoch_stays_when_the_holder_comes_back_after_a_lapse",
)
class RenewingIsTakingAgain(Saboteur):
    def lease(self, name, holder, seconds):
        standing = self.universe.leases.get(name)
        if standing and standing.holder == holder:
            self.release(name, holder)
        return super().lease(name, holder, seconds)


@breaks(
    LeasePromises,
    "test_a_lapsed_lease_is_free",
    "test_the_epoch_grows_by_one_when_a_lapsed_lease_is_taken",
    "test_the_epoch_stays_when_the_holder_comes_back_after_a_lapse",
)
class LeasesNeverLapse(Saboteur):
    def lease(self, name, holder, seconds):
        return super().lease(name, holder, 10**6 + seconds)


@breaks(LeasePromises, "test_the_epoch_stays_when_the_holder_comes_back_after_a_lapse")
class LapsingIsLeaving(Saboteur):
    def lease(self, name, holder, seconds):
        standing = self.universe.leases.get(name)
        if standing and standing.until <= self.universe.now():
            self.release(name, standing.holder)
        return super().lease(name, holder, seconds)


@breaks(
    LeasePromises,
    "test_a_released_lease_is_free",
    more="without a release no second holder comes",
)
class NothingIsReleased(Saboteur):
    def release(self, name, holder):
        """Forgotten."""


@breaks(LeasePromises, "test_only_its_holder_can_release_a_lease")
class AnybodyReleases(Saboteur):
    def release(self, name, holder):
        standing = self.universe.leases.get(name)
        if standing and name == "supervisor":
            super().release(name, standing.holder)


@breaks(
    LeasePromises,
    "test_the_epoch_grows_by_one_with_each_new_holder",
    "test_the_epoch_survives_a_restart",
)
class EpochFallsOnRelease(Saboteur):
    def release(self, name, holder):
        standing = self.universe.leases.get(name)
        if standing and standing.holder == holder:
            del self.universe.leases[name]


@breaks(LeasePromises, "test_the_epoch_survives_a_restart")
class LeasesOfOneLife(Saboteur):
    def close(self):
        self.universe.leases.clear()


@breaks(LeasePromises, "test_leases_of_different_names_are_independent")
class OneLeaseForAll(Saboteur):
    def release(self, name, holder):
        for one in list(self.universe.leases):
            super().release(one, self.universe.leases[one].holder if one == "two" else holder)


@breaks(LeasePromises, "test_one_of_several_that_take_a_lease_has_it")
class LooksAtTheLeaseFirst(Saboteur):
    def lease(self, name, holder, seconds):
        standing = self.universe.leases.get(name)
        if standing is None:
            time.sleep(MOMENT)
            with self.universe.changed:
                self.universe.leases.pop(name, None)
                return super().lease(name, holder, seconds)
        return super().lease(name, holder, seconds)


@breaks(
    LeasePromises,
    "test_the_epoch_grows_by_one_when_a_lapsed_lease_is_taken",
    says="cannot tell that it was taken",
)
class TakesUnderTheOldEpoch(Saboteur):
    def lease(self, name, holder, seconds):
        standing = self.universe.leases.get(name)
        lease = super().lease(name, holder, seconds)
        if standing and standing.holder not in ("", holder) and lease.holder == holder:
            lease = replace(lease, epoch=standing.epoch)
            self.universe.leases[name] = lease
        return lease


@breaks(LeasePromises, "test_the_holder_renews_its_lease", says="also when renewed")
class NeverShortens(Saboteur):
    def lease(self, name, holder, seconds):
        standing = self.universe.leases.get(name)
        lease = super().lease(name, holder, seconds)
        if standing and standing.holder == holder and seconds == 5:
            lease = replace(lease, until=max(lease.until, standing.until))
        return lease
