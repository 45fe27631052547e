"""Promises of `Accounts` about users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from hypothesis import given

from opus_core.backends import Account, Accounts, Storage
from opus_core.errors import AlreadyExists, Conflict, UnknownSession, UnknownToken, UnknownUser
from opus_core.testing.accounts_kit import LATER, AccountsKit, accounts_of
from opus_core.testing.backend import Instances
from opus_core.testing.samples import LONG_AGO, a_session, a_token, an_account
from opus_core.testing.storage_kit import thorough
from opus_core.testing.strategies import accounts as any_accounts
from opus_core.testing.timing import race


class UserPromises(AccountsKit):
    """An account comes back as it was given, and takes with it what is its own."""

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
        before = accounts_of(storage)
        before.add_user(an_account())
        before.add_token(a_token())
        before.add_session(a_session(data={"k": "v 'é"}))
        after = accounts_of(instances.restart(storage))
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

    def test_names_that_look_alike_are_told_apart(self, accounts: Accounts) -> None:
        alike = ("\u00e9", "e\u0301", "\u00c9", "e", "\u00e9 ")
        for name in alike:
            accounts.add_user(an_account(name))
            accounts.add_token(a_token(f"opus_{name}", user=name))
        for name in alike:
            assert accounts.read_user(name).name == name, f"{name!r} is taken for another user"
            tokens = [one.prefix for one in accounts.get_tokens(name)]
            assert tokens == [f"opus_{name}"], f"{name!r} has tokens of another user"

    def test_instants_of_accounts_are_in_utc(self, accounts: Accounts) -> None:
        accounts.add_user(an_account())
        accounts.add_token(a_token(expires=LONG_AGO, last_used=LONG_AGO))
        accounts.add_session(a_session())
        token, session = accounts.read_token("opus_1"), accounts.read_session("1" * 64)
        instants: dict[str, list[datetime | None]] = {
            "an account": [accounts.read_user("ann").created, accounts.get_users()[0].created],
            "a token": [token.created, token.expires, token.last_used],
            "a session": [session.created, session.last_seen],
        }
        for what, found in instants.items():
            assert all(one and one.utcoffset() == timedelta(0) for one in found), (
                f"the instants of {what} are not in UTC"
            )

    def test_nothing_outlives_a_user_deleted_meanwhile(
        self, accounts: Accounts, another: Callable[[], Accounts]
    ) -> None:
        other = another()
        for number in range(5):
            name = f"user{number}"
            accounts.add_user(an_account(name))
            calls: list[Callable[[], object]] = [
                partial(other.delete_user, name),
                partial(accounts.add_session, a_session(f"session{number}", user=name)),
                partial(accounts.add_token, a_token(f"token{number}", user=name)),
            ]
            race(
                *(calls if number % 2 else reversed(calls))
            )  # the last one to arrive is often the first to run
            assert accounts.get_tokens(name) == [], "a token has outlived its user"
            with pytest.raises(UnknownSession):
                accounts.read_session(f"session{number}")

    def test_accounts_are_asked_from_several_threads_at_once(self, accounts: Accounts) -> None:
        def live_a_life(number: int) -> str:
            name, prefix, cookie = f"user{number}", f"opus_{number}", str(number) * 64
            accounts.add_user(an_account(name))
            accounts.add_token(a_token(prefix, user=name))
            accounts.add_session(a_session(cookie, user=name))
            accounts.use_token(prefix, LATER)
            accounts.use_session(cookie, LATER, {"n": str(number)})
            asked: dict[str, bool] = {
                "read_user": accounts.read_user(name).name == name,
                "get_users": name in [one.name for one in accounts.get_users()],
                "save_user": accounts.save_user(an_account(name), expected=1).name == name,
                "read_token": accounts.read_token(prefix).user == name,
                "get_tokens": [one.prefix for one in accounts.get_tokens(name)] == [prefix],
                "read_session": accounts.read_session(cookie).data == {"n": str(number)},
                "delete_token": accounts.delete_token(prefix),
            }
            accounts.delete_sessions(name)
            accounts.delete_user(name)
            return ", ".join(method for method, holds in asked.items() if not holds)

        outcomes = race(*(partial(live_a_life, number) for number in range(6)))
        wrong = [one for one in outcomes if one]
        assert not wrong, f"every method may be called from several threads at once: {wrong}"
