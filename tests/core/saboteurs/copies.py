"""Storages with one promise broken each, about being copied."""

from __future__ import annotations

import uuid

import pytest

from core.saboteurs import storages
from core.saboteurs.copying_memory import KEPT, CopyingMemory
from core.saboteurs.registry import breaks
from opus_core.errors import ConfigError
from opus_core.testing.memory import MemoryStorage
from opus_core.testing.storage_copies import CopyPromises


def fixtures(back_end):
    """How a test class makes instances of a saboteur, and what they are copied into."""

    @pytest.fixture
    def empty(self):
        universe = uuid.uuid4().hex
        yield lambda: back_end(back_end.Options(universe=universe))
        MemoryStorage.forget(universe)

    return storages.fixtures(back_end) | {"empty": empty}


class CopyContract(CopyPromises):
    copies = True


@breaks(CopyContract, "test_a_copy_has_all_that_was_kept", says="the copy differs from what")
class CopiesNoAccounts(CopyingMemory):
    def hand_over(self, mine, theirs):
        """Forgotten."""


@breaks(CopyContract, "test_a_copy_has_all_that_was_kept")
class CopiesNoHealth(CopyingMemory):
    kept = tuple(name for name in KEPT if name != "health")


@breaks(CopyContract, "test_a_copy_has_all_that_was_kept", says="how much of what")
class TellsWhatAndNotHowMuch(CopyingMemory):
    def copy_into(self, other):
        return dict.fromkeys(super().copy_into(other), "all")


@breaks(CopyContract, "test_numbers_go_on_in_a_copy", says="numbers of records are given out again")
class NumbersBeginAgain(CopyingMemory):
    def copy_into(self, other):
        copied = super().copy_into(other)
        for stream in other.universe.streams.values():
            stream.newest = stream.records[-1].seq if stream.records else 0
        return copied


@breaks(CopyContract, "test_numbers_go_on_in_a_copy")
class ForgetsTheHour(CopyingMemory):
    kept = tuple(name for name in KEPT if name != "created")


@breaks(
    CopyContract,
    "test_nothing_is_copied_into_what_has_something_in_it",
    says="DID NOT RAISE|has left something behind",
)
class CopiesOverWhatIsThere(CopyingMemory):
    def refuse(self, other):
        """Whatever there is."""


@breaks(
    CopyContract,
    "test_nothing_is_copied_into_what_has_something_in_it",
    says="has left something behind",
)
class RefusesTooLate(CopyingMemory):
    def refuse(self, other):
        if other.universe.streams:
            other.universe.streams.clear()
            raise ConfigError("there was something in it")


@breaks(
    CopyContract,
    "test_a_copy_that_nobody_has_written_is_refused",
    says="DID NOT RAISE",
)
class CopiesNothingInSilence(CopyingMemory):
    def copy_into(self, other):
        return super().copy_into(other) if isinstance(other, CopyingMemory) else {}


@breaks(
    CopyContract,
    "test_a_copy_that_nobody_has_written_is_refused",
    says=r"errors of opus_core\.errors .*copy_into has raised NotImplementedError",
)
class CopiesInItsOwnWords(CopyingMemory):
    def copy_into(self, other):
        if isinstance(other, CopyingMemory):
            return super().copy_into(other)
        raise NotImplementedError


# --- a flag that claims too much ---


@breaks(
    CopyContract,
    "test_a_copy_has_all_that_was_kept",
    "test_numbers_go_on_in_a_copy",
    says="nobody has written how memory is copied",
)
class ClaimsToCopy(MemoryStorage):
    """It copies into none, and nothing is wrong with it."""
