"""Browser sessions: kept here, so that they can be ended here; a browser has a random cookie alone.

A session ends when it was not used for a while, at latest so long after its user has signed in, and
with all others of the user at once. Its cookie is changed for a new one now and then; the old one
goes on for a moment, for what the browser has asked for meanwhile.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from opus_core import job as jobs
from opus_core.backends import Accounts, Session
from opus_core.errors import Unavailable, UnknownSession

COOKIE: Final = "__Host-opus"
"""Where the connection is encrypted; browsers take it from this host alone (RFC 6265bis 4.1.3)."""

COOKIE_IN_PLAIN: Final = "opus"
"""On loopback without TLS, where no browser would take the other."""

TOKEN: Final = "token"  # noqa: S105  a key
"""In the data of a session that a token has opened: its prefix."""

_SEEN: Final = timedelta(minutes=1)  # between two records of its use
_RENEWED: Final = timedelta(hours=1)
_OVERLAP: Final = timedelta(minutes=1)
_UNTIL: Final = "until"  # in its data: when it ends since another one has taken its place
_SINCE: Final = "since"  # in its data: since when it has its cookie


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long sessions are."""

    idle: timedelta = timedelta(hours=4)
    longest: timedelta = timedelta(days=7)


class Sessions:
    """The sessions of a site. `secret` makes the words that forms and scripts show against CSRF."""

    def __init__(self, accounts: Accounts, lifetimes: Lifetimes, secret: bytes) -> None:
        self._accounts = accounts
        self._lifetimes = lifetimes
        self._secret = secret

    @property
    def longest(self) -> timedelta:
        """After which each ends."""
        return self._lifetimes.longest

    def open(self, user: str, *, token: str = "") -> str:
        """A new session; answers its cookie. `token`: the prefix of the one that opened it, beyond
        which it does not go. Raises `UnknownUser`."""
        return self._add(user, jobs.now(), {TOKEN: token} if token else {})

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie, unless it is over."""
        try:
            session = self._accounts.read_session(_hash(cookie))
        except UnknownSession:
            return None
        now = jobs.now()
        if (
            now - session.created >= self._lifetimes.longest
            or now - session.last_seen >= self._lifetimes.idle
            or now >= _instant(session, _UNTIL, default=datetime.max.replace(tzinfo=now.tzinfo))
        ):
            with suppress(Unavailable):  # over it is all the same
                self._accounts.delete_session(session.hash)
            return None
        if now - session.last_seen >= _SEEN:
            with suppress(Unavailable):  # a full disk keeps nobody from reading
                self._accounts.use_session(session.hash, now, session.data)
        return session

    def renewed(self, cookie: str, session: Session) -> str | None:
        """A new cookie for a session that has had its own for long; None: it keeps that."""
        now = jobs.now()
        since = _instant(session, _SINCE, default=session.created)
        if _UNTIL in session.data or now - since < _RENEWED:
            return None
        data = {**session.data, _UNTIL: (now + _OVERLAP).isoformat()}
        self._accounts.use_session(session.hash, now, data)
        return self._add(session.user, session.created, session.data)

    def close(self, cookie: str) -> None:
        """Sign out; nothing happens if it is over."""
        self._accounts.delete_session(_hash(cookie))

    def close_all(self, user: str) -> None:
        """Sign out everywhere."""
        self._accounts.delete_sessions(user)

    def csrf(self, cookie: str) -> str:
        """What only a page of ours can know of a session."""
        return hmac.new(self._secret, f"csrf {cookie}".encode(), hashlib.sha256).hexdigest()

    def _add(self, user: str, created: datetime, data: Mapping[str, str]) -> str:
        cookie = secrets.token_urlsafe(32)
        now = jobs.now()
        self._accounts.add_session(
            Session(
                hash=_hash(cookie),
                user=user,
                created=created,
                last_seen=now,
                data={**data, _SINCE: now.isoformat()},
            )
        )
        return cookie


def _instant(session: Session, key: str, *, default: datetime) -> datetime:
    return datetime.fromisoformat(session.data[key]) if key in session.data else default


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()
