"""Users, tokens and sessions in memory: the reference for `Accounts`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime

from opus_core.backends import Account, Accounts, Session, Token
from opus_core.errors import (
    AlreadyExists,
    Conflict,
    UnknownSession,
    UnknownToken,
    UnknownUser,
)


class MemoryAccounts(Accounts):
    """One lock makes every call a transaction; `writing` is entered by what changes something."""

    def __init__(self, writing: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._lock = threading.RLock()
        self._writing = writing
        self._users: dict[str, Account] = {}
        self._tokens: dict[str, Token] = {}
        self._sessions: dict[str, Session] = {}

    def add_user(self, account: Account) -> Account:
        with self._writing(), self._lock:
            if account.name in self._users:
                raise AlreadyExists(f"there is an account {account.name!r} already")
            self._users[account.name] = replace(account, version=1)
            return self._users[account.name]

    def read_user(self, name: str) -> Account:
        with self._lock:
            if name not in self._users:
                raise UnknownUser(f"there is no account {name!r}; names are case-sensitive")
            return self._users[name]

    def save_user(self, account: Account, *, expected: int) -> Account:
        with self._writing(), self._lock:
            stored = self.read_user(account.name)
            if stored.version != expected:
                raise Conflict(f"account {account.name!r} was changed since; read it again")
            self._users[account.name] = replace(account, version=expected + 1)
            return self._users[account.name]

    def delete_user(self, name: str) -> None:
        with self._writing(), self._lock:
            self._users.pop(name, None)
            self._tokens = {k: one for k, one in self._tokens.items() if one.user != name}
            self.delete_sessions(name)

    def get_users(self, after: str = "", limit: int = 1000) -> list[Account]:
        with self._lock:
            names = sorted(name for name in self._users if name > after)
            return [self._users[name] for name in names[:limit]]

    def add_token(self, token: Token) -> None:
        with self._writing(), self._lock:
            self.read_user(token.user)
            if token.prefix in self._tokens:
                raise AlreadyExists(f"a token begins with {token.prefix!r} already")
            self._tokens[token.prefix] = token

    def read_token(self, prefix: str) -> Token:
        with self._lock:
            if prefix not in self._tokens:
                raise UnknownToken(f"no token begins with {prefix!r}; it may have been revoked")
            return self._tokens[prefix]

    def get_tokens(self, user: str) -> list[Token]:
        with self._lock:
            mine = [token for token in self._tokens.values() if token.user == user]
            return sorted(mine, key=lambda token: (token.created, token.prefix))

    def use_token(self, prefix: str, instant: datetime) -> None:
        with self._writing(), self._lock:
            token = self._tokens.get(prefix)
            if token and (token.last_used is None or token.last_used < instant):
                self._tokens[prefix] = replace(token, last_used=instant)

    def delete_token(self, prefix: str) -> bool:
        with self._writing(), self._lock:
            return self._tokens.pop(prefix, None) is not None

    def add_session(self, session: Session) -> None:
        with self._writing(), self._lock:
            self.read_user(session.user)
            if session.hash in self._sessions:
                raise AlreadyExists("there is such a session already; make a new cookie")
            self._sessions[session.hash] = replace(session, data=dict(session.data))

    def read_session(self, session_hash: str) -> Session:
        with self._lock:
            if session_hash not in self._sessions:
                raise UnknownSession("there is no such session; sign in again")
            session = self._sessions[session_hash]
            return replace(session, data=dict(session.data))

    def use_session(self, session_hash: str, instant: datetime, data: Mapping[str, str]) -> None:
        with self._writing(), self._lock:
            session = self._sessions.get(session_hash)
            if session:
                self._sessions[session_hash] = replace(session, last_seen=instant, data=dict(data))

    def delete_session(self, session_hash: str) -> None:
        with self._writing(), self._lock:
            self._sessions.pop(session_hash, None)

    def delete_sessions(self, user: str) -> None:
        with self._writing(), self._lock:
            self._sessions = {k: one for k, one in self._sessions.items() if one.user != user}

    def sweep(self, *, expired_before: datetime, idle_before: datetime) -> None:
        with self._writing(), self._lock:
            self._tokens = {
                prefix: token
                for prefix, token in self._tokens.items()
                if token.expires is None or token.expires >= expired_before
            }
            self._sessions = {
                key: session
                for key, session in self._sessions.items()
                if session.last_seen >= idle_before
            }
