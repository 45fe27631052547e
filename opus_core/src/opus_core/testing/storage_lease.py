"""Promises of `Storage` about leases: one holder at a time, and an epoch that never falls."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from opus_core.backends import Lease, Storage
from opus_core.testing.backend import Instances
from opus_core.testing.storage_kit import Soon, StorageKit
from opus_core.testing.timing import together


class LeasePromises(StorageKit):
    """Only one supervisor acts, and each one knows whether another has come since."""

    def test_a_free_lease_is_taken(self, storage: Storage) -> None:
        lease = storage.lease("supervisor", "me", 60)
        assert (lease.name, lease.holder) == ("supervisor", "me")
        assert lease.until.utcoffset() == timedelta(0), "not in UTC"

    def test_a_lease_is_for_seconds_from_now(self, storage: Storage) -> None:
        lengths = (storage.lease(str(n), "me", n).until for n in (60, 3660))
        shorter, longer = lengths
        assert abs(longer - shorter - timedelta(hours=1)) < timedelta(minutes=1)

    def test_a_standing_lease_is_answered_and_not_taken(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        mine = storage.lease("supervisor", "me", 60)
        assert instances.open().lease("supervisor", "you", 600) == mine

    def test_the_holder_renews_its_lease(self, storage: Storage) -> None:
        first = storage.lease("supervisor", "me", 60)
        renewed = storage.lease("supervisor", "me", 600)
        assert renewed.holder == "me"
        assert renewed.until > first.until
        assert renewed.epoch == first.epoch, "the holder is the same, and so is the epoch"
        shorter = storage.lease("supervisor", "me", 5)
        assert shorter.until < first.until, "a lease is for `seconds` from now, also when renewed"

    def test_a_lapsed_lease_is_free(self, storage: Storage, soon: Soon) -> None:
        storage.lease("supervisor", "me", 0.05)
        soon(
            lambda: storage.lease("supervisor", "you", 60).holder == "you",
            "the lease of 0.05 s has lapsed",
        )

    def test_the_epoch_grows_by_one_when_a_lapsed_lease_is_taken(
        self, storage: Storage, soon: Soon
    ) -> None:
        mine = storage.lease("supervisor", "me", 0.05)
        soon(
            lambda: storage.lease("supervisor", "you", 60).holder == "you",
            "the lease of 0.05 s has lapsed",
        )
        yours = storage.lease("supervisor", "me", 60)
        assert yours.epoch == mine.epoch + 1, "who held it before cannot tell that it was taken"

    def test_the_epoch_stays_when_the_holder_comes_back_after_a_lapse(
        self, storage: Storage, soon: Soon
    ) -> None:
        mine = storage.lease("supervisor", "me", 0.05)
        storage.lease("later", "me", 0.05)
        soon(
            lambda: storage.lease("later", "you", 60).holder == "you",
            "a lease of 0.05 s that was taken later has lapsed",
        )
        assert storage.lease("supervisor", "me", 60).epoch == mine.epoch

    def test_a_released_lease_is_free(self, storage: Storage) -> None:
        storage.lease("supervisor", "me", 600)
        storage.release("supervisor", "me")
        assert storage.lease("supervisor", "you", 60).holder == "you"

    def test_only_its_holder_can_release_a_lease(self, storage: Storage) -> None:
        mine = storage.lease("supervisor", "me", 600)
        storage.release("supervisor", "you")
        storage.release("never taken", "you")
        assert storage.lease("supervisor", "you", 60) == mine

    def test_the_epoch_grows_by_one_with_each_new_holder(self, storage: Storage) -> None:
        epochs = []
        for holder in ("a", "b", "a", "c"):
            epochs.append(storage.lease("supervisor", holder, 60).epoch)
            storage.release("supervisor", holder)
        assert epochs == [epochs[0] + n for n in range(4)]

    def test_the_epoch_survives_a_restart(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        mine = storage.lease("supervisor", "me", 600)
        again = instances.restart(storage)
        assert again.lease("supervisor", "you", 600) == mine
        again.release("supervisor", "me")
        assert instances.restart(again).lease("supervisor", "you", 600).epoch == mine.epoch + 1

    def test_leases_of_different_names_are_independent(self, storage: Storage) -> None:
        storage.lease("one", "me", 600)
        assert storage.lease("two", "you", 600).holder == "you"
        storage.release("one", "me")
        assert storage.lease("two", "me", 600).holder == "you"

    def test_one_of_several_that_take_a_lease_has_it(
        self, storage: Storage, instances: Instances[Storage]
    ) -> None:
        stores = (storage, instances.open())
        for number in range(5):
            leases: list[Lease] = together(
                *(partial(stores[n % 2].lease, f"race {number}", f"h{n}", 600) for n in range(4))
            )
            assert len({(lease.holder, lease.epoch) for lease in leases}) == 1, leases
