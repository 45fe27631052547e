"""Accounts with one promise broken each."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from core.saboteurs.registry import breaks
from opus_core.errors import AlreadyExists, Conflict, UnknownUser
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
    "test_names_that_look_alike_are_told_apart",
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


@breaks(
    AccountsContract,
    "test_delete_user_takes_tokens_and_sessions_with_it",
    more="what is there without a user may have outlived one",
)
class OrphansTokens(Saboteur):
    def delete_user(self, name):
        tokens = self._tokens
        super().delete_user(name)
        self._tokens = tokens


@breaks(
    AccountsContract,
    "test_delete_user_takes_tokens_and_sessions_with_it",
    more="what is there without a user may have outlived one",
)
class OrphansSessions(Saboteur):
    def delete_user(self, name):
        sessions = self._sessions
        super().delete_user(name)
        self._sessions = sessions


@breaks(
    AccountsContract,
    "test_delete_user_removes_the_account",
    more="what is there without a user may have outlived one",
)
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


@breaks(AccountsContract, "test_names_that_look_alike_are_told_apart", says="tokens of another")
class TokensOfThePadded(Saboteur):
    def get_tokens(self, user):
        found = [
            one
            for name in self._users
            if name.strip() == user.strip()
            for one in super(TokensOfThePadded, self).get_tokens(name)
        ]
        return sorted(found, key=lambda token: (token.created, token.prefix))


@breaks(AccountsContract, "test_instants_of_accounts_are_in_utc", says="a token are not in UTC")
class TokensInLocalTime(Saboteur):
    def read_token(self, prefix):
        token = super().read_token(prefix)
        zone = timezone(timedelta(hours=1))
        return replace(token, expires=token.expires and token.expires.astimezone(zone))


@breaks(AccountsContract, "test_nothing_outlives_a_user_deleted_meanwhile", says="outlived its")
class LooksForTheUserFirst(Saboteur):
    def add_token(self, token):
        if token.user not in self._users:
            raise UnknownUser(f"there is no account {token.user!r}")
        time.sleep(MOMENT)
        with self._lock:
            if token.prefix in self._tokens:
                raise AlreadyExists("taken")
            self._tokens[token.prefix] = token


@breaks(
    AccountsContract,
    "test_accounts_are_asked_from_several_threads_at_once",
    says="several threads at once: .*busy",
)
class OneUseAtATime(Saboteur):
    using = 0

    def use_session(self, session_hash, instant, data):
        self.using += 1
        time.sleep(0.02)
        alone = self.using == 1
        self.using -= 1
        if not alone:
            raise Conflict("busy")
        super().use_session(session_hash, instant, data)
