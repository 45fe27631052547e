"""Accounts with one promise broken each."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace

import pytest

from core.saboteurs.registry import breaks
from opus_core.errors import AlreadyExists, Conflict, UnknownSession, UnknownToken, UnknownUser
from opus_core.testing.accounts import AccountsContract
from opus_core.testing.memory import MemoryStorage
from opus_core.testing.memory_accounts import MemoryAccounts

MOMENT = 0.004  # [s]


def fixtures(back_end):
    """How a test class makes the storage of a saboteur."""

    class Storage(MemoryStorage):
        def accounts(self):
            with self.universe.changed:
                if not isinstance(self.universe.accounts, back_end):
                    self.universe.accounts = back_end()
                return self.universe.accounts

        def close(self):
            self.accounts().forget()

    @pytest.fixture
    def make(self):
        universe = uuid.uuid4().hex
        yield lambda: Storage(Storage.Options(universe=universe))
        MemoryStorage.forget(universe)

    return {"make": make}


class Saboteur(MemoryAccounts):
    """Shorthands for what follows."""

    def forget(self):
        """What a restart loses."""


@breaks(
    AccountsContract,
    "test_an_account_comes_back_as_it_was_given",
)
class AddForgetsTheMail(Saboteur):
    def add_user(self, account):
        return super().add_user(replace(account, email=""))


@breaks(AccountsContract, "test_save_user_keeps_an_account_as_it_was_given")
class SaveForgetsTheMail(Saboteur):
    def save_user(self, account, *, expected):
        return super().save_user(replace(account, email=""), expected=expected)


@breaks(
    AccountsContract,
    "test_add_user_refuses_a_name_that_is_taken",
    "test_one_of_two_that_add_a_user_wins",
)
class AddReplaces(Saboteur):
    def add_user(self, account):
        self._users.pop(account.name, None)
        return super().add_user(account)


@breaks(AccountsContract, "test_one_of_two_that_add_a_user_wins")
class AddLooksFirst(Saboteur):
    def add_user(self, account):
        if account.name in self._users:
            raise AlreadyExists("taken")
        time.sleep(MOMENT)
        with self._lock:
            self._users.pop(account.name, None)
            return super().add_user(account)


@breaks(AccountsContract, "test_read_user_of_an_unknown_name_raises")
class ReadsNobody(Saboteur):
    def read_user(self, name):
        return None if name == "nobody" else super().read_user(name)


@breaks(
    AccountsContract,
    "test_names_are_case_sensitive",
    "test_users_are_listed_by_code_points",
)
class NamesOfAnyCase(Saboteur):
    def find(self, name):
        return next((one for one in self._users if one.lower() == name.lower()), name)

    def read_user(self, name):
        return super().read_user(self.find(name))

    def get_users(self, after="", limit=1000):
        return sorted(super().get_users(after, limit), key=lambda one: one.name.lower())


@breaks(AccountsContract, "test_accounts_survive_a_restart")
class UsersOfOneLife(Saboteur):
    def forget(self):
        self._users.clear()


@breaks(AccountsContract, "test_accounts_survive_a_restart")
class SessionsOfOneLife(Saboteur):
    def forget(self):
        self._sessions.clear()


@breaks(AccountsContract, "test_save_user_of_another_version_is_a_conflict")
class ForgivesTheFuture(Saboteur):
    def save_user(self, account, *, expected):
        stored = self._users.get(account.name)
        if stored and stored.version < expected:
            expected = stored.version
        return super().save_user(account, expected=expected)


@breaks(AccountsContract, "test_two_writers_of_one_account_never_both_succeed")
class ComparesThenSets(Saboteur):
    def save_user(self, account, *, expected):
        if self.read_user(account.name).version != expected:
            raise Conflict("changed")
        time.sleep(MOMENT)
        with self._lock:
            self._users[account.name] = replace(account, version=expected + 1)
            return self._users[account.name]


@breaks(AccountsContract, "test_save_user_of_an_unknown_name_raises")
class SaveAdds(Saboteur):
    def save_user(self, account, *, expected):
        self._users.setdefault(account.name, replace(account, version=expected))
        return super().save_user(account, expected=expected)


@breaks(AccountsContract, "test_delete_user_takes_tokens_and_sessions_with_it")
class OrphansTokens(Saboteur):
    def delete_user(self, name):
        tokens = self._tokens
        super().delete_user(name)
        self._tokens = tokens


@breaks(AccountsContract, "test_delete_user_takes_tokens_and_sessions_with_it")
class OrphansSessions(Saboteur):
    def delete_user(self, name):
        sessions = self._sessions
        super().delete_user(name)
        self._sessions = sessions


@breaks(AccountsContract, "test_delete_user_removes_the_account")
class DeletedUsersAreRead(Saboteur):
    gone = None

    def delete_user(self, name):
        self.gone = self._users.get(name)
        super().delete_user(name)

    def read_user(self, name):
        if self.gone and self.gone.name == name and name not in self._users:
            return self.gone
        return super().read_user(name)


@breaks(
    AccountsContract,
    "test_delete_user_of_who_is_gone_does_nothing",
    "test_an_account_comes_back_as_it_was_given",
    "test_save_user_keeps_an_account_as_it_was_given",
)
class DeletesOnce(Saboteur):
    def delete_user(self, name):
        if name not in self._users:
            raise UnknownUser(name)
        super().delete_user(name)


@breaks(AccountsContract, "test_users_are_listed_by_code_points")
class ListsByCodeUnits(Saboteur):
    def get_users(self, after="", limit=1000):
        found = super().get_users(after, limit)
        return sorted(found, key=lambda one: one.name.encode("utf-16-be"))


@breaks(AccountsContract, "test_users_are_listed_behind_a_name_up_to_a_limit")
class ListsAtTheName(Saboteur):
    def get_users(self, after="", limit=1000):
        found = super().get_users("", 1000)
        return [one for one in found if one.name >= after][:limit]


# --- tokens ---


@breaks(AccountsContract, "test_a_token_comes_back_as_it_was_given")
class TokensWithoutScopes(Saboteur):
    def add_token(self, token):
        super().add_token(replace(token, scopes=frozenset()))


@breaks(AccountsContract, "test_add_token_refuses_a_prefix_that_is_taken")
class TokensAreReplaced(Saboteur):
    def add_token(self, token):
        self._tokens.pop(token.prefix, None)
        super().add_token(token)


@breaks(AccountsContract, "test_add_token_of_an_unknown_user_raises")
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


@breaks(AccountsContract, "test_an_expired_token_is_answered_like_any_other")
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


@breaks(AccountsContract, "test_use_token_sets_last_used_if_it_is_later")
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


@breaks(AccountsContract, "test_add_session_of_an_unknown_user_raises")
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
