"""The contract of `Accounts`: every promise of its docstrings as a test."""

from __future__ import annotations

from opus_core.testing.accounts_access import AccessPromises
from opus_core.testing.accounts_users import UserPromises


class AccountsContract(UserPromises, AccessPromises):
    """Inherit it and say how the *storage* is made whose `accounts()` are tested.

        class TestMyAccounts(AccountsContract):
            @pytest.fixture
            def make(self, tmp_path):
                return lambda: MyStorage(MyStorage.Options(path=tmp_path / "opus.db"))

    Each call of what `make` answers is another storage on the same data.
    """
