"""Tokens: what programs show instead of a password.

`opus_PREFIX_SECRET`: the prefix is public and finds the token, the secret has 256 random bits. Only
the SHA-256 of the whole is stored; of so random a text nobody can guess backwards.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from opus_core import job as jobs
from opus_core.auth.remembered import Remembered
from opus_core.backends import Accounts, Token
from opus_core.errors import BadRequest, NotAuthenticated, Unavailable, UnknownToken

READ: Final = "read"
RUN: Final = "run"
PUBLISH: Final = "publish"
ADMIN: Final = "admin"

SCOPES: Final[dict[str, str]] = {
    READ: "see jobs and their results",
    RUN: "create, run, change and delete jobs, and see them",
    PUBLISH: "work on job descriptions",
    ADMIN: "act as an admin, if the user is one",
}
"""What a token may be given; it never does more than its user may."""

SIGN_IN: Final = "sign in"
"""The scope of a one-time link, which can do nothing but be exchanged for a session."""

_TEXT: Final = re.compile(r"opus_([0-9a-z]{12})_[A-Za-z0-9_-]{43}")
_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_LONGEST_NAME: Final = 100  # characters
_TRUSTED: Final = 5.0  # [s] that a token goes on after another process has revoked it
_USED: Final = timedelta(minutes=1)  # between two records of its use


@dataclass(frozen=True, slots=True)
class Made:
    """A new token, and its text, which nobody can be told again."""

    text: str
    token: Token


def is_token(text: str) -> bool:
    """Whether a text has the form of our tokens."""
    return _TEXT.fullmatch(text) is not None


def prefix_of(text: str) -> str:
    """The public part of a text of that form."""
    return text.split("_")[1]


class Tokens:
    """The tokens of a site."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._right: Remembered[str, Token] = Remembered(seconds=_TRUSTED)

    def make(
        self,
        user: str,
        *,
        name: str = "",
        scopes: frozenset[str] = frozenset({RUN}),
        lifetime: timedelta | None = None,
    ) -> Made:
        """A new token of an account. Raises `UnknownUser`, `BadRequest` for an unknown scope."""
        if unknown := scopes - SCOPES.keys() - {SIGN_IN}:
            raise BadRequest(
                f"a token has no scope {min(unknown)!r}; there are {', '.join(SCOPES)}"
            )
        if not scopes:
            raise BadRequest(f"a token needs a scope; there are {', '.join(SCOPES)}")
        if len(name) > _LONGEST_NAME or not name.isprintable():
            raise BadRequest(f"a token's name has up to {_LONGEST_NAME} characters on one line")
        prefix = "".join(secrets.choice(_LETTERS) for _ in range(12))
        text = f"opus_{prefix}_{secrets.token_urlsafe(32)}"
        now = jobs.now()
        try:
            expires = now + lifetime if lifetime is not None else None
        except OverflowError as error:
            raise BadRequest("that is too far away for a token to expire") from error
        token = Token(
            prefix=prefix,
            user=user,
            hash=_hash(text),
            name=name,
            scopes=scopes,
            created=now,
            expires=expires,
        )
        self._accounts.add_token(token)
        return Made(text, token)

    def recognise(self, text: str) -> Token:
        """The token of this text. Raises `NotAuthenticated` if it is not right, or not any more."""
        key = _hash(text)
        token = self._standing(self._right.get(key, lambda: self._read(text, key)))
        now = jobs.now()
        if token.last_used is None or now - token.last_used >= _USED:
            with suppress(Unavailable):  # a full disk keeps nobody from reading
                self._accounts.use_token(token.prefix, now)
                self._right.forget_one(key)
        return token

    def standing(self, prefix: str) -> Token:
        """The token of this prefix. `NotAuthenticated` if it has expired or was revoked."""

        def ask() -> Token:
            try:
                return self._accounts.read_token(prefix)
            except UnknownToken as error:
                raise _wrong() from error

        return self._standing(self._right.get(prefix, ask))

    def _standing(self, token: Token) -> Token:
        if token.expires is not None and token.expires <= jobs.now():
            raise _wrong()
        return token

    def _read(self, text: str, key: str) -> Token:
        match = _TEXT.fullmatch(text)
        if match is None:
            raise _wrong()
        try:
            token = self._accounts.read_token(match[1])
        except UnknownToken as error:
            raise _wrong() from error
        if not hmac.compare_digest(token.hash, key):
            raise _wrong()
        return token

    def of(self, user: str) -> list[Token]:
        """The user's tokens, oldest first; links are none."""
        return [one for one in self._accounts.get_tokens(user) if SIGN_IN not in one.scopes]

    def read(self, prefix: str) -> Token:
        """What is known of a token. Raises `UnknownToken`."""
        return self._accounts.read_token(prefix)

    def revoke(self, prefix: str) -> bool:
        """It counts no more: here from now on, in other processes after some seconds. Answers
        whether it did before; of several at once one is told so."""
        counted = self._accounts.delete_token(prefix)
        self.forget()
        return counted

    def forget(self) -> None:
        """Ask the storage anew for all of them."""
        self._right.forget()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _wrong() -> NotAuthenticated:
    return NotAuthenticated(
        "this token is not right: it may have expired or have been revoked; make a new one"
    )
