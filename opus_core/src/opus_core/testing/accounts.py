"""The contract of `Accounts`: every promise of its docstrings as a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import given

from opus_core.backends import Account, Accounts, Storage
from opus_core.errors import (
    AlreadyExists,
    Conflict,
    UnknownSession,
    UnknownToken,
    UnknownUser,
)
from opus_core.testing.backend import Instances
from opus_core.testing.samples import LONG_AGO, a_session, a_token, an_account
from opus_core.testing.storage_kit import thorough
from opus_core.testing.strategies import accounts as any_accounts
from opus_core.testing.timing import race

LATER = LONG_AGO + timedelta(hours=1)
INSTANT = timedelta(milliseconds=1)


class AccountsContract:
    """Inherit it and say how the *storage* is made whose `accounts()` are tested.

    class TestMyAccounts(AccountsContract):
        @pytest.fixture
        def make(self, tmp_path):
            return lambda: MyStorage(MyStorage.Options(path=tmp_path / "opus.db"))
    """

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
        return lambda: _accounts(instances.open())

    @pytest.fixture
    def accounts(self, another: Callable[[], Accounts]) -> Accounts:
        """Accounts with nobody in them."""
        return another()

    # -- users

    @thorough
    @given(account=any_accounts())
    def test_an_account_comes_back_as_it_was_given(
        self, accounts: Accounts, account: Account
    ) -> None:
        accounts.delete_user(account.name)
        added = accounts.add_user(account)
        assert added == replace(account, version=1), "the answer of add_user"
        assert accounts.read_user(account.name) == added, "what read_user finds"

    @thorough
    @given(account=any_accounts())
    def test_save_user_keeps_an_account_as_it_was_given(
        self, accounts: Accounts, account: Account
    ) -> None:
        accounts.delete_user("ann")
        first = accounts.add_user(an_account())
        account = replace(account, name="ann", created=first.created)
        saved = accounts.save_user(account, expected=1)
        assert saved == replace(account, version=2), "the answer of save_user"
        assert accounts.read_user("ann") == saved, "what read_user finds"

    def test_add_user_refuses_a_name_that_is_taken(self, accounts: Accounts) -> None:
        first = accounts.add_user(an_account())
        with pytest.raises(AlreadyExists):
            accounts.add_user(an_account(full_name="Another Ann"))
        assert accounts.read_user("ann") == first, "the first account was replaced"

    def test_one_of_two_that_add_a_user_wins(
        self, accounts: Accounts, another: Callable[[], Accounts]
    ) -> None:
        both = (accounts, another())
        for number in range(5):
            account = an_account(f"user{number}")
            outcomes = race(*(partial(both[n % 2].add_user, account) for n in range(4)))
            added = [one for one in outcomes if isinstance(one, Account)]
            refused = [one for one in outcomes if isinstance(one, AlreadyExists)]
            assert (len(added), len(refused)) == (1, 3), outcomes

    def test_read_user_of_an_unknown_name_raises(self, accounts: Accounts) -> None:
        with pytest.raises(UnknownUser):
            accounts.read_user("nobody")

    def test_names_are_case_sensitive(self, accounts: Accounts) -> None:
        accounts.add_user(an_account("ann"))
        with pytest.raises(UnknownUser):
            accounts.read_user("Ann")
        accounts.add_user(an_account("Ann"))

    def test_accounts_survive_a_restart(self, instances: Instances[Storage]) -> None:
        storage = instances.open()
        before = _accounts(storage)
        before.add_user(an_account())
        before.add_token(a_token())
        before.add_session(a_session(data={"k": "v 'é"}))
        after = _accounts(instances.restart(storage))
        assert after.read_user("ann") == an_account(version=1)
        assert after.read_token("opus_1") == a_token()
        assert after.read_session("1" * 64) == a_session(data={"k": "v 'é"})

    def test_save_user_of_another_version_is_a_conflict(self, accounts: Accounts) -> None:
        accounts.add_user(an_account())
        saved = accounts.save_user(an_account(active=False), expected=1)
        for wrong in (0, 1, 3):
            with pytest.raises(Conflict):
                accounts.save_user(an_account(full_name="late"), expected=wrong)
        assert accounts.read_user("ann") == saved, "a refused save has changed the account"

    def test_two_writers_of_one_account_never_both_succeed(
        self, accounts: Accounts, another: Callable[[], Accounts]
    ) -> None:
        both = (accounts, another())
        accounts.add_user(an_account())
        for version in range(1, 6):
            outcomes = race(
                *(
                    partial(both[n % 2].save_user, an_account(full_name=str(n)), expected=version)
                    for n in range(4)
                )
            )
            won = [one for one in outcomes if isinstance(one, Account)]
            lost = [one for one in outcomes if isinstance(one, Conflict)]
            assert (len(won), len(lost)) == (1, 3), outcomes
            assert accounts.read_user("ann") == won[0]

    def test_save_user_of_an_unknown_name_raises(self, accounts: Accounts) -> None:
        with pytest.raises(UnknownUser):
            accounts.save_user(an_account(), expected=1)

    def test_delete_user_takes_tokens_and_sessions_with_it(self, accounts: Accounts) -> None:
        for name in ("ann", "bob"):
            accounts.add_user(an_account(name))
            accounts.add_token(a_token(f"opus_{name}", user=name))
            accounts.add_session(a_session(name, user=name))
        accounts.delete_user("ann")
        accounts.add_user(an_account("ann"))  # what was theirs is not the next ann's
        with pytest.raises(UnknownToken):
            accounts.read_token("opus_ann")
        with pytest.raises(UnknownSession):
            accounts.read_session("ann")
        assert accounts.read_token("opus_bob").user == "bob"
        assert accounts.read_session("bob").user == "bob"

    def test_delete_user_removes_the_account(self, accounts: Accounts) -> None:
        accounts.add_user(an_account())
        accounts.delete_user("ann")
        with pytest.raises(UnknownUser):
            accounts.read_user("ann")

    def test_delete_user_of_who_is_gone_does_nothing(self, accounts: Accounts) -> None:
        accounts.delete_user("nobody")

    def test_users_are_listed_by_code_points(self, accounts: Accounts) -> None:
        names = ["Z", "a", "a_", "aa", "b", "\u00e9", "\ufffd", "\U0001f52d"]
        for name in reversed(names):
            accounts.add_user(an_account(name))
        assert [user.name for user in accounts.get_users()] == names
        assert accounts.get_users()[0] == an_account("Z", version=1)

    def test_users_are_listed_behind_a_name_up_to_a_limit(self, accounts: Accounts) -> None:
        for name in "abcde":
            accounts.add_user(an_account(name))
        assert [user.name for user in accounts.get_users("b")] == ["c", "d", "e"]
        assert [user.name for user in accounts.get_users("bb", limit=2)] == ["c", "d"]

    # -- tokens

    def test_a_token_comes_back_as_it_was_given(self, accounts: Accounts) -> None:
        accounts.add_user(an_account())
        token = a_token(
            name="laptop 'é", scopes=frozenset({"read", "run"}), expires=LATER, last_used=LATER
        )
        accounts.add_token(token)
        assert accounts.read_token("opus_1") == token

    def test_add_token_refuses_a_prefix_that_is_taken(self, accounts: Accounts) -> None:
        for name in ("ann", "bob"):
            accounts.add_user(an_account(name))
        accounts.add_token(a_token())
        with pytest.raises(AlreadyExists):
            accounts.add_token(a_token(user="bob"))
        assert accounts.read_token("opus_1") == a_token(), "the first token was replaced"

    def test_add_token_of_an_unknown_user_raises(self, accounts: Accounts) -> None:
        with pytest.raises(UnknownUser):
            accounts.add_token(a_token())

    def test_read_token_of_an_unknown_prefix_raises(self, accounts: Accounts) -> None:
        with pytest.raises(UnknownToken):
            accounts.read_token("opus_none")

    def test_an_expired_token_is_answered_like_any_other(self, accounts: Accounts) -> None:
        accounts.add_user(an_account())
        accounts.add_token(a_token(expires=LONG_AGO))
        assert accounts.read_token("opus_1") == a_token(expires=LONG_AGO)
        assert accounts.get_tokens("ann") == [a_token(expires=LONG_AGO)]

    def test_a_users_tokens_are_listed_oldest_first(self, accounts: Accounts) -> None:
        for name in ("ann", "bob"):
            accounts.add_user(an_account(name))
        for prefix, hours in (("c", 1), ("a", 2), ("b", 0)):
            accounts.add_token(a_token(prefix, created=LONG_AGO + timedelta(hours=hours)))
        accounts.add_token(a_token("d", user="bob"))
        assert [token.prefix for token in accounts.get_tokens("ann")] == ["b", "c", "a"]
        assert accounts.get_tokens("nobody") == []

    def test_use_token_sets_last_used_if_it_is_later(self, accounts: Accounts) -> None:
        accounts.add_user(an_account())
        accounts.add_token(a_token())
        accounts.use_token("opus_1", LATER)
        assert accounts.read_token("opus_1").last_used == LATER
        accounts.use_token("opus_1", LONG_AGO)
        assert accounts.read_token("opus_1").last_used == LATER, "set back"
        accounts.use_token("opus_1", LATER + INSTANT)
        assert accounts.read_token("opus_1").last_used == LATER + INSTANT

    def test_use_token_of_what_is_gone_does_nothing(self, accounts: Accounts) -> None:
        accounts.use_token("opus_none", LATER)

    def test_a_deleted_token_is_unknown(self, accounts: Accounts) -> None:
        accounts.add_user(an_account())
        accounts.add_token(a_token("one"))
        accounts.add_token(a_token("two"))
        assert accounts.delete_token("one") is True
        with pytest.raises(UnknownToken):
            accounts.read_token("one")
        assert [token.prefix for token in accounts.get_tokens("ann")] == ["two"]

    def test_delete_token_of_what_is_gone_does_nothing(self, accounts: Accounts) -> None:
        assert accounts.delete_token("opus_none") is False

    def test_one_of_several_that_revoke_a_token_is_told_so(
        self, accounts: Accounts, another: Callable[[], Accounts]
    ) -> None:
        both = (accounts, another())
        accounts.add_user(an_account())
        for number in range(5):
            accounts.add_token(a_token(f"token{number}"))
            calls = (partial(both[n % 2].delete_token, f"token{number}") for n in range(4))
            assert sorted(race(*calls), key=str) == [False, False, False, True]

    # -- sessions

    def test_a_session_comes_back_as_it_was_given(self, accounts: Accounts) -> None:
        accounts.add_user(an_account())
        session = a_session(last_seen=LATER, data={"csrf": "x", "'é\n": "\U0001f52d"})
        accounts.add_session(session)
        assert accounts.read_session("1" * 64) == session

    def test_add_session_refuses_a_hash_that_is_taken(self, accounts: Accounts) -> None:
        for name in ("ann", "bob"):
            accounts.add_user(an_account(name))
        accounts.add_session(a_session())
        with pytest.raises(AlreadyExists):
            accounts.add_session(a_session(user="bob"))
        assert accounts.read_session("1" * 64) == a_session(), "the first session was replaced"

    def test_add_session_of_an_unknown_user_raises(self, accounts: Accounts) -> None:
        with pytest.raises(UnknownUser):
            accounts.add_session(a_session())

    def test_read_session_of_an_unknown_hash_raises(self, accounts: Accounts) -> None:
        with pytest.raises(UnknownSession):
            accounts.read_session("none")

    def test_use_session_replaces_last_seen_and_data(self, accounts: Accounts) -> None:
        accounts.add_user(an_account())
        accounts.add_session(a_session(data={"a": "1", "b": "2"}))
        accounts.use_session("1" * 64, LATER, {"b": "3"})
        assert accounts.read_session("1" * 64) == a_session(last_seen=LATER, data={"b": "3"})

    def test_use_session_of_what_is_gone_does_nothing(self, accounts: Accounts) -> None:
        accounts.use_session("none", LATER, {})
        with pytest.raises(UnknownSession):
            accounts.read_session("none")

    def test_a_deleted_session_is_unknown(self, accounts: Accounts) -> None:
        accounts.add_user(an_account())
        accounts.add_session(a_session("one"))
        accounts.add_session(a_session("two"))
        accounts.delete_session("one")
        with pytest.raises(UnknownSession):
            accounts.read_session("one")
        assert accounts.read_session("two") == a_session("two")

    def test_delete_session_of_what_is_gone_does_nothing(self, accounts: Accounts) -> None:
        accounts.delete_session("none")

    def test_delete_sessions_signs_one_user_out_everywhere(self, accounts: Accounts) -> None:
        for name in ("ann", "bob"):
            accounts.add_user(an_account(name))
        for session_hash, name in (("one", "ann"), ("two", "ann"), ("three", "bob")):
            accounts.add_session(a_session(session_hash, user=name))
        accounts.delete_sessions("ann")
        for session_hash in ("one", "two"):
            with pytest.raises(UnknownSession):
                accounts.read_session(session_hash)
        assert accounts.read_session("three").user == "bob"

    # -- sweep

    def test_sweep_removes_tokens_that_expired_before(self, accounts: Accounts) -> None:
        accounts.add_user(an_account())
        accounts.add_token(a_token("old", expires=LATER - INSTANT))
        accounts.add_token(a_token("now", expires=LATER))
        accounts.add_token(a_token("never", expires=None))
        accounts.sweep(expired_before=LATER, idle_before=LONG_AGO)
        assert {token.prefix for token in accounts.get_tokens("ann")} == {"now", "never"}

    def test_sweep_removes_sessions_last_seen_before(self, accounts: Accounts) -> None:
        accounts.add_user(an_account())
        accounts.add_session(a_session("idle", last_seen=LATER - INSTANT))
        accounts.add_session(a_session("now", last_seen=LATER))
        accounts.sweep(expired_before=LONG_AGO, idle_before=LATER)
        with pytest.raises(UnknownSession):
            accounts.read_session("idle")
        assert accounts.read_session("now").last_seen == LATER


def _accounts(storage: Storage) -> Accounts:
    accounts = storage.accounts()
    assert accounts is not None, f"the {storage.name} storage keeps no accounts"
    return accounts
