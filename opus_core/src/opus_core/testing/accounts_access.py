"""Promises of `Accounts` about what lets a user in: tokens and sessions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from opus_core.backends import Accounts
from opus_core.errors import AlreadyExists, UnknownSession, UnknownToken, UnknownUser
from opus_core.testing.accounts_kit import INSTANT, LATER, AccountsKit
from opus_core.testing.samples import LONG_AGO, a_session, a_token, an_account
from opus_core.testing.timing import race


class AccessPromises(AccountsKit):
    """What was revoked lets nobody in, and what was not is as it was given."""

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
