"""Accounts with one promise broken each, about tokens and sessions."""

from __future__ import annotations

import time
from dataclasses import replace

from core.saboteurs import accounts
from core.saboteurs.accounts import MOMENT, Saboteur
from core.saboteurs.registry import breaks
from opus_core.errors import UnknownSession, UnknownToken
from opus_core.testing.accounts import AccountsContract

fixtures = accounts.fixtures


@breaks(AccountsContract, "test_a_token_comes_back_as_it_was_given")
class TokensWithoutScopes(Saboteur):
    def add_token(self, token):
        super().add_token(replace(token, scopes=frozenset()))


@breaks(AccountsContract, "test_add_token_refuses_a_prefix_that_is_taken")
class TokensAreReplaced(Saboteur):
    def add_token(self, token):
        self._tokens.pop(token.prefix, None)
        super().add_token(token)


@breaks(
    AccountsContract,
    "test_add_token_of_an_unknown_user_raises",
    more="what is there without a user may have outlived one",
)
class TokensOfNobody(Saboteur):
    def add_token(self, token):
        if token.user in self._users:
            super().add_token(token)
        self._tokens[token.prefix] = token


# A prefix that is taken is still refused by the call above.


@breaks(AccountsContract, "test_read_token_of_an_unknown_prefix_raises")
class ReadsNoToken(Saboteur):
    def read_token(self, prefix):
        return None if prefix == "opus_none" else super().read_token(prefix)


@breaks(
    AccountsContract,
    "test_an_expired_token_is_answered_like_any_other",
    "test_instants_of_accounts_are_in_utc",
)
class HidesTheExpired(Saboteur):
    def read_token(self, prefix):
        token = super().read_token(prefix)
        if token.expires and token.expires == token.created:
            raise UnknownToken("expired")
        return token


@breaks(AccountsContract, "test_a_users_tokens_are_listed_oldest_first")
class TokensByPrefix(Saboteur):
    def get_tokens(self, user):
        return sorted(super().get_tokens(user), key=lambda one: one.prefix)


@breaks(AccountsContract, "test_use_token_sets_last_used_if_it_is_later", says="set back")
class UsedEarlier(Saboteur):
    def use_token(self, prefix, instant):
        token = self._tokens.get(prefix)
        if token:
            self._tokens[prefix] = replace(token, last_used=instant)


@breaks(AccountsContract, "test_use_token_of_what_is_gone_does_nothing")
class UsesNoToken(Saboteur):
    def use_token(self, prefix, instant):
        self.read_token(prefix)
        super().use_token(prefix, instant)


@breaks(
    AccountsContract,
    "test_a_deleted_token_is_unknown",
    "test_one_of_several_that_revoke_a_token_is_told_so",
)
class TokensLinger(Saboteur):
    def delete_token(self, prefix):
        return prefix in self._tokens


@breaks(AccountsContract, "test_one_of_several_that_revoke_a_token_is_told_so")
class RevokesForEverybody(Saboteur):
    def delete_token(self, prefix):
        known = prefix in self._tokens
        time.sleep(MOMENT)
        super().delete_token(prefix)
        return known


@breaks(
    AccountsContract,
    "test_delete_token_of_what_is_gone_does_nothing",
    "test_one_of_several_that_revoke_a_token_is_told_so",
)
class RevokesOnce(Saboteur):
    def delete_token(self, prefix):
        self.read_token(prefix)
        return super().delete_token(prefix)


# --- sessions ---


@breaks(AccountsContract, "test_a_session_comes_back_as_it_was_given")
class SessionsSeenAtOnce(Saboteur):
    def add_session(self, session):
        super().add_session(replace(session, last_seen=session.created))
        if session.data == {} and session.last_seen != session.created:
            self._sessions[session.hash] = session


@breaks(AccountsContract, "test_add_session_refuses_a_hash_that_is_taken")
class SessionsAreReplaced(Saboteur):
    def add_session(self, session):
        self._sessions.pop(session.hash, None)
        super().add_session(session)


@breaks(
    AccountsContract,
    "test_add_session_of_an_unknown_user_raises",
    more="what is there without a user may have outlived one",
)
class SessionsOfNobody(Saboteur):
    def add_session(self, session):
        if session.user in self._users:
            super().add_session(session)
        self._sessions[session.hash] = session


@breaks(AccountsContract, "test_read_session_of_an_unknown_hash_raises")
class ReadsNoSession(Saboteur):
    asked = 0

    def read_session(self, session_hash):
        if session_hash == "none" and not self.asked:
            return None
        return super().read_session(session_hash)

    def use_session(self, session_hash, instant, data):
        self.asked += 1
        super().use_session(session_hash, instant, data)


@breaks(AccountsContract, "test_use_session_replaces_last_seen_and_data")
class SessionDataAddsUp(Saboteur):
    def use_session(self, session_hash, instant, data):
        old = self._sessions.get(session_hash)
        super().use_session(session_hash, instant, {**old.data, **data} if old else data)


@breaks(AccountsContract, "test_use_session_of_what_is_gone_does_nothing")
class UsesNoSession(Saboteur):
    def use_session(self, session_hash, instant, data):
        if session_hash not in self._sessions:
            raise UnknownSession(session_hash)
        super().use_session(session_hash, instant, data)


@breaks(AccountsContract, "test_a_deleted_session_is_unknown")
class SessionsLinger(Saboteur):
    def delete_session(self, session_hash):
        """Forgotten."""


@breaks(AccountsContract, "test_delete_session_of_what_is_gone_does_nothing")
class SignsOutOnce(Saboteur):
    def delete_session(self, session_hash):
        self.read_session(session_hash)
        super().delete_session(session_hash)


@breaks(AccountsContract, "test_delete_sessions_signs_one_user_out_everywhere")
class SignsEverybodyOut(Saboteur):
    def delete_sessions(self, user):
        if user in self._users:
            self._sessions = {}
        super().delete_sessions(user)


# --- sweep ---


@breaks(AccountsContract, "test_sweep_removes_tokens_that_expired_before")
class SweepsTokensAtTheInstant(Saboteur):
    def sweep(self, *, expired_before, idle_before):
        super().sweep(expired_before=expired_before, idle_before=idle_before)
        kept = self._tokens.items()
        self._tokens = {key: one for key, one in kept if one.expires != expired_before}


@breaks(AccountsContract, "test_sweep_removes_sessions_last_seen_before")
class SweepsSessionsByAge(Saboteur):
    def sweep(self, *, expired_before, idle_before):
        kept = self._sessions.items()
        self._sessions = {key: one for key, one in kept if one.created >= idle_before}
        super().sweep(expired_before=expired_before, idle_before=idle_before)
