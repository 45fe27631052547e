"""Users, their tokens and sessions, where a storage keeps them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user as stored."""

    name: str
    roles: frozenset[str] = frozenset()
    active: bool = True
    password: str | None = None  # a hash with its own parameters; None: no password
    full_name: str = ""
    email: str = ""
    created: datetime
    version: int = 0  # set by the storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as stored: never itself, only its SHA-256."""

    prefix: str  # public, unique
    user: str
    hash: str
    name: str = ""
    scopes: frozenset[str] = frozenset()
    created: datetime
    expires: datetime | None = None
    last_used: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser session as stored; `hash` is the SHA-256 of the cookie."""

    hash: str
    user: str
    created: datetime
    last_seen: datetime
    data: Mapping[str, str] = field(default_factory=dict)


class Accounts(ABC):
    """Users, their tokens and sessions. Same rules and errors as `Storage`."""

    @abstractmethod
    def add_user(self, account: Account) -> Account:
        """Store a new account under version 1. Raises `AlreadyExists`."""

    @abstractmethod
    def read_user(self, name: str) -> Account:
        """Raises `UnknownUser`. Names are case-sensitive."""

    @abstractmethod
    def save_user(self, account: Account, *, expected: int) -> Account:
        """Compare-and-set, as `Storage.save`. Raises `Conflict`, `UnknownUser`."""

    @abstractmethod
    def delete_user(self, name: str) -> None:
        """Remove the account with its tokens and sessions; nothing happens if it is gone."""

    @abstractmethod
    def get_users(self, after: str = "", limit: int = 1000) -> list[Account]:
        """Accounts with a name behind `after`, by name (code points)."""

    @abstractmethod
    def add_token(self, token: Token) -> None:
        """Raises `AlreadyExists` for a prefix that is taken, `UnknownUser`."""

    @abstractmethod
    def read_token(self, prefix: str) -> Token:
        """Raises `UnknownToken`. An expired token is answered like any other."""

    @abstractmethod
    def get_tokens(self, user: str) -> list[Token]:
        """The user's tokens, oldest first."""

    @abstractmethod
    def use_token(self, prefix: str, instant: datetime) -> None:
        """Set `last_used` if `instant` is later; nothing happens if it is gone."""

    @abstractmethod
    def delete_token(self, prefix: str) -> bool:
        """Revoke it; answers whether it was there: of several at once, one is told so."""

    @abstractmethod
    def add_session(self, session: Session) -> None:
        """Raises `AlreadyExists`, `UnknownUser`."""

    @abstractmethod
    def read_session(self, session_hash: str) -> Session:
        """Raises `UnknownSession`."""

    @abstractmethod
    def use_session(self, session_hash: str, instant: datetime, data: Mapping[str, str]) -> None:
        """Replace `last_seen` and `data`; nothing happens if it is gone."""

    @abstractmethod
    def delete_session(self, session_hash: str) -> None:
        """Sign out; nothing happens if it is gone."""

    @abstractmethod
    def delete_sessions(self, user: str) -> None:
        """Sign out everywhere."""

    @abstractmethod
    def sweep(self, *, expired_before: datetime, idle_before: datetime) -> None:
        """Remove tokens that expired, and sessions last seen, before these instants."""
