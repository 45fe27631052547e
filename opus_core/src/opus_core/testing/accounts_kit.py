"""What all parts of the accounts contract have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

import pytest

from opus_core.backends import Accounts, Storage
from opus_core.testing.backend import Instances
from opus_core.testing.samples import LONG_AGO
from opus_core.testing.wording import worded

LATER: Final = LONG_AGO + timedelta(hours=1)
INSTANT: Final = timedelta(milliseconds=1)


class AccountsKit:
    """Fixtures of the accounts contract; `make` is the author's."""

    @pytest.fixture
    def make(self) -> Callable[[], Storage]:
        """The one fixture an author supplies: a callable that makes the storage of the accounts.

        Each call makes another instance on the same data; each test gets data of its own.
        """
        pytest.fail(
            f"{type(self).__name__} needs a fixture: `@pytest.fixture def make(self, tmp_path):"
            " return lambda: YourStorage(YourStorage.Options(...))`"
        )

    @pytest.fixture
    def instances(self, make: Callable[[], Storage]) -> Iterator[Instances[Storage]]:
        """Makes prepared storages on the same data."""
        opened = Instances(make, lambda storage: storage.prepare())
        yield opened
        opened.close()

    @pytest.fixture
    def another(self, instances: Instances[Storage]) -> Callable[[], Accounts]:
        """Makes the accounts of one more storage instance on the same data."""
        return lambda: accounts_of(instances.open())

    @pytest.fixture
    def accounts(self, another: Callable[[], Accounts]) -> Accounts:
        """Accounts with nobody in them."""
        return another()


def accounts_of(storage: Storage) -> Accounts:
    """The accounts of a storage that has them."""
    accounts = storage.accounts()
    assert accounts is not None, f"the {storage.name} storage keeps no accounts"
    return worded(accounts)
