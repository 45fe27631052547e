"""The reference storage keeps the contracts that every storage has to keep."""

from __future__ import annotations

import uuid

import pytest

from core.saboteurs.copying_memory import CopyingMemory
from opus_core.errors import StorageFull, Unavailable
from opus_core.testing import AccountsContract, StorageContract
from opus_core.testing.memory import MemoryStorage
from opus_core.testing.storage_copies import CopyPromises
from opus_core.testing.storage_faults import FaultPromises
from opus_core.testing.storage_records import RecordPromises


@pytest.fixture
def universe():
    name = uuid.uuid4().hex
    yield name
    MemoryStorage.forget(name)


class TestMemoryStorage(StorageContract):
    @pytest.fixture
    def make(self, universe):
        return lambda: MemoryStorage(MemoryStorage.Options(universe=universe))

    @pytest.fixture
    def unfit(self):
        return lambda: MemoryStorage(MemoryStorage.Options(universe=" "))

    @pytest.fixture
    def pass_time(self, make):
        return make().pass_time

    @pytest.fixture
    def make_newer(self, make):
        return make().make_newer

    @pytest.fixture
    def full(self, make):
        return lambda: make().failing(StorageFull("no space is left"))

    @pytest.fixture
    def unavailable(self, make):
        return lambda: make().failing(Unavailable("the memory is elsewhere"))


class TestCopyingMemory(CopyPromises):
    copies = True

    @pytest.fixture
    def make(self, universe):
        return lambda: CopyingMemory(CopyingMemory.Options(universe=universe))

    @pytest.fixture
    def empty(self, universe):
        yield lambda: CopyingMemory(CopyingMemory.Options(universe=f"{universe} copy"))
        MemoryStorage.forget(f"{universe} copy")


class WithoutAccounts(MemoryStorage):
    def accounts(self):
        return None


class TestWithoutAccounts(RecordPromises, FaultPromises):
    keeps_accounts = False

    @pytest.fixture
    def make(self, universe):
        return lambda: WithoutAccounts(WithoutAccounts.Options(universe=universe))

    @pytest.fixture
    def unavailable(self, make):
        return lambda: make().failing(Unavailable("the memory is elsewhere"))


class TestMemoryAccounts(AccountsContract):
    @pytest.fixture
    def make(self, universe):
        return lambda: MemoryStorage(MemoryStorage.Options(universe=universe))
