"""The accounts of a site: who is known, what they may show to be recognised, what is changed.

Whoever the web server or a plugin vouches for needs no account; one that they have adds its roles,
and bars them when it is switched off. Every change is audited; `actor` is who made it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from opus_core import job as jobs
from opus_core.auth import passwords
from opus_core.auth.attempts import Attempts
from opus_core.auth.audit import Audit
from opus_core.auth.remembered import Remembered
from opus_core.auth.sessions import TOKEN, Lifetimes, Sessions
from opus_core.auth.tokens import RUN, SIGN_IN, Made, Tokens, is_token, prefix_of
from opus_core.backends import Account, Accounts, JobQuery, Session, Storage, User
from opus_core.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    NotAllowed,
    NotAuthenticated,
    UnknownToken,
    UnknownUser,
)
from opus_core.job import Phase

ROLES: Final[dict[str, str]] = {
    "admin": "sees and does everything, for all users",
    "publisher": "works on job descriptions",
    "user": "runs jobs",
}
"""What OPUS knows; a site may give others, which its job descriptions name."""

EVERYBODY: Final = "user"
"""The role that all who are known have."""

_NAME: Final = re.compile(r"[^\W_](?:[\w.@+-]{0,62}\w)?")
_ROLE: Final = re.compile(r"[a-z](?:[a-z0-9_-]{0,30}[a-z0-9])?")
_LONGEST: Final = 200  # characters of a full name or an address
_TRUSTED: Final = 5.0  # [s] that roles go on after another process has changed them
_RIGHT: Final = 300.0  # [s] that a password need not be worked out again
_LINK: Final = timedelta(days=1)
_WRONG_BY_ADDRESS: Final = 30
_WRONG_BY_NAME: Final = 10
_MEANWHILE: Final = 600.0  # [s]
_WRONG: Final = "the name or the password is not right"


class People:
    """The users of a site, with their tokens and sessions."""

    def __init__(
        self,
        storage: Storage,
        accounts: Accounts,
        *,
        secret: bytes,
        passwords: bool = False,
        lifetimes: Lifetimes | None = None,
    ) -> None:
        self.audit = Audit(storage)
        self.tokens = Tokens(accounts)
        self.sessions = Sessions(accounts, lifetimes or Lifetimes(), secret)
        self.passwords = passwords
        self._storage = storage
        self._accounts = accounts
        self._known: Remembered[str, Account | None] = Remembered(seconds=_TRUSTED)
        self._right: Remembered[bytes, bool] = Remembered(seconds=_RIGHT)
        self._by_address = Attempts(most=_WRONG_BY_ADDRESS, seconds=_MEANWHILE)
        self._by_name = Attempts(most=_WRONG_BY_NAME, seconds=_MEANWHILE)

    # -- who is asking

    def vouched(self, user: User) -> User:
        """A user whom somebody vouches for, with the roles of the account, if there is one.

        Raises `NotAllowed` for an account that is switched off.
        """
        if user.name is None:
            return user
        account = self._account(user.name)
        roles = account.roles if account is not None else frozenset()
        if account is not None and not account.active:
            raise _off(user.name)
        return replace(user, roles=user.roles | roles | {EVERYBODY})

    def by_token(self, text: str, name: str | None = None) -> User:
        """The user of a token, who must be of that name if one is given. `NotAuthenticated`."""
        token = self.tokens.recognise(text)
        if SIGN_IN in token.scopes or (name is not None and name != token.user):
            raise NotAuthenticated("this token is not right here, or not that user's")
        return self.vouched(User(name=token.user, scopes=token.scopes))

    def by_password(self, name: str, password: str, *, address: str) -> User:
        """The user of that name and password, guessed at most so often. `NotAuthenticated`,
        `LimitReached`."""
        if not self.passwords:
            raise NotAuthenticated(
                "no passwords are taken here; show a token, which has the form opus_..._..."
            )
        account = self._account(name)
        stored = account.password if account is not None else None
        key = hashlib.sha256(f"{stored} {name} {password}".encode("utf-8", "replace")).digest()

        def work_out() -> bool:
            keys = (
                (self._by_address, _place(address)),
                (self._by_name, name[:_LONGEST]),
            )
            for attempts, of in keys:
                attempts.begin(of)
            if not passwords.is_right(password, stored):
                raise NotAuthenticated(_WRONG)
            for attempts, of in keys:
                attempts.succeeded(of)
            return True

        self._right.get(key, work_out)
        return self.vouched(User(name=name))

    def by_cookie(self, cookie: str) -> tuple[User, Session] | None:
        """The user and the session of a cookie; None if it is over."""
        session = self.sessions.read(cookie)
        if session is None:
            return None
        scopes = None
        if TOKEN in session.data:
            try:
                scopes = self.tokens.standing(session.data[TOKEN]).scopes
            except NotAuthenticated:
                return None
        return self.vouched(User(name=session.user, scopes=scopes)), session

    # -- signing in

    def sign_in(self, name: str, proof: str, *, address: str) -> str:
        """A session of somebody who shows a password or a token; answers its cookie."""
        prefix = ""
        try:
            if is_token(proof):
                # Nobody guesses a token, but each refusal is kept in the record.
                self._by_address.begin(_place(address))
                self.by_token(proof, name)
                self._by_address.succeeded(_place(address))
                prefix = prefix_of(proof)
            else:
                self.by_password(name, proof, address=address)
        except NotAuthenticated:
            self.audit.note(None, "sign-in refused", name, address=address)
            raise
        return self._signed_in(name, address, token=prefix)

    def link(self, actor: str, name: str) -> str:
        """A code that signs the user in once, within a day. Raises `UnknownUser`."""
        made = self.tokens.make(name, scopes=frozenset({SIGN_IN}), lifetime=_LINK)
        self.audit.note(actor, "link made", name)
        return made.text

    def by_link(self, code: str) -> str:
        """Whom a code would sign in. `NotAuthenticated` if it was used or is too old."""
        try:
            token = self.tokens.recognise(code)
        except NotAuthenticated:
            token = None
        if token is None or SIGN_IN not in token.scopes:
            raise _used()
        return token.user

    def use_link(self, code: str, *, address: str) -> str:
        """A session for a code, once; answers its cookie."""
        name = self.by_link(code)
        account = self._accounts.read_user(name)
        if not account.active:
            raise _off(name)
        if not self.tokens.revoke(prefix_of(code)):
            raise _used()
        return self._signed_in(name, address)

    def _signed_in(self, name: str, address: str, token: str = "") -> str:
        how = f"by the token {token}" if token else ""
        self.audit.note(name, "signed in", name, address=address, more=how)
        return self.sessions.open(name, token=token)

    # -- accounts

    def read(self, name: str) -> Account:
        """Raises `UnknownUser`."""
        return self._accounts.read_user(name)

    def all(self) -> list[Account]:
        """Every account, by name."""
        found: list[Account] = []
        while page := self._accounts.get_users(found[-1].name if found else ""):
            found += page
        return found

    def add(
        self,
        actor: str,
        name: str,
        *,
        roles: frozenset[str] = frozenset(),
        full_name: str = "",
        email: str = "",
    ) -> Account:
        """A new account. Raises `AlreadyExists`, `BadRequest` for a name that is none."""
        name = checked_name(name)
        account = Account(
            name=name,
            roles=_checked(roles),
            full_name=_line("full name", full_name),
            email=_line("address", email),
            created=jobs.now(),
        )
        added = self._accounts.add_user(account)
        self._known.forget()
        self.audit.note(actor, "user added", name, more=" ".join(sorted(roles)))
        return added

    def known(self, actor: str, name: str) -> Account:
        """The account of somebody who was vouched for, made if there is none yet."""
        with suppress(UnknownUser):
            return self._accounts.read_user(name)
        try:
            added = self._accounts.add_user(Account(name=name, created=jobs.now()))
        except AlreadyExists:
            return self._accounts.read_user(name)
        self._known.forget()
        self.audit.note(actor, "user added", name, more="vouched for")
        return added

    def change(
        self,
        actor: str,
        name: str,
        *,
        roles: frozenset[str] | None = None,
        active: bool | None = None,
        full_name: str | None = None,
        email: str | None = None,
    ) -> Account:
        """Change what is given. Sessions end with less, or other, roles and with the account.

        Raises `UnknownUser`; `Conflict` if somebody else was faster.
        """
        account = self._accounts.read_user(name)
        changed = replace(
            account,
            roles=account.roles if roles is None else _checked(roles),
            active=account.active if active is None else active,
            full_name=account.full_name if full_name is None else _line("full name", full_name),
            email=account.email if email is None else _line("address", email),
        )
        if changed == account:
            return account
        words = [" ".join(sorted(changed.roles)) or "no roles", "on" if changed.active else "off"]
        saved = self._accounts.save_user(changed, expected=account.version)
        self._known.forget()
        self.audit.note(actor, "user changed", name, more=", ".join(words))
        if (changed.roles, changed.active) != (account.roles, account.active):
            self.sessions.close_all(name)
        return saved

    def set_password(self, actor: str, name: str, password: str | None) -> None:
        """Set or, with None, remove it; all sessions of the user end. `BadRequest`, `Conflict`."""
        if password is not None:
            if not self.passwords:
                raise BadRequest("no passwords are taken here; see `passwords` in [auth]")
            passwords.check(password, name)
        account = self._accounts.read_user(name)
        stored = None if password is None else passwords.hashed(password)
        self._accounts.save_user(replace(account, password=stored), expected=account.version)
        self._known.forget()
        self.audit.note(actor, "password set" if password else "password removed", name)
        self.sessions.close_all(name)

    def check_password(self, name: str, password: str, *, address: str) -> None:
        """Raise `NotAllowed` unless it is the user's, `LimitReached` after too many attempts."""
        try:
            self.by_password(name, password, address=address)
        except NotAuthenticated as error:
            raise NotAllowed("the present password is not right; nothing was changed") from error

    def remove(self, actor: str, name: str) -> None:
        """Remove an account with its tokens and sessions. `Conflict` while there are jobs of it:
        a later user of that name would have them."""
        self._accounts.read_user(name)
        query = JobQuery(owner=name, phases=frozenset(Phase), limit=1)
        if next(iter(self._storage.get_list(query)), None) is not None:
            raise Conflict(
                f"there are jobs of {name}, which the next user of that name would have; delete"
                " them first, or switch the account off"
            )
        self._accounts.delete_user(name)
        self._known.forget()
        self.tokens.forget()
        self.audit.note(actor, "user removed", name)

    # -- tokens and sessions

    def make_token(
        self,
        actor: str,
        user: str,
        *,
        name: str = "",
        scopes: frozenset[str] = frozenset({RUN}),
        lifetime: timedelta | None = None,
    ) -> Made:
        """A new token of an account; its text is told once. Raises `UnknownUser`, `BadRequest`."""
        made = self.tokens.make(user, name=name, scopes=scopes, lifetime=lifetime)
        more = f"{made.token.prefix} {' '.join(sorted(scopes))}"
        self.audit.note(actor, "token made", user, more=more)
        return made

    def revoke_token(self, actor: str, prefix: str, *, user: str | None = None) -> None:
        """It counts no more. Raises `UnknownToken`, also for one that is not that user's."""
        token = self.tokens.read(prefix)
        if user is not None and token.user != user:
            raise UnknownToken(f"{user} has no token {prefix[:20]!r}")
        self.tokens.revoke(prefix)
        self.audit.note(actor, "token revoked", token.user, more=prefix)

    def sign_out(self, user: User, cookie: str) -> None:
        """End one session."""
        self.audit.note(user.name, "signed out", user.name or "", address=user.address)
        self.sessions.close(cookie)

    def sign_out_everywhere(self, actor: str, name: str) -> None:
        """End all sessions of a user."""
        self.audit.note(actor, "signed out everywhere", name)
        self.sessions.close_all(name)

    def _account(self, name: str) -> Account | None:
        return self._known.get(name, lambda: self._look_up(name))

    def _look_up(self, name: str) -> Account | None:
        try:
            return self._accounts.read_user(name)
        except UnknownUser:
            return None


def _place(address: str) -> str:
    """From where somebody guesses: as quotas count those whom nobody knows."""
    return User(name=None, address=address).quota_key


def checked_name(name: str) -> str:
    """The name as an account has it. Raises `BadRequest` for one that is none."""
    name = unicodedata.normalize("NFC", name)
    if not _NAME.fullmatch(name):
        raise BadRequest(
            f"{name[:70]!r} cannot be a user's name: it has up to 64 letters and digits, and"
            " between them . _ @ + -"
        )
    return name


def _checked(roles: frozenset[str]) -> frozenset[str]:
    for role in roles:
        if not _ROLE.fullmatch(role):
            raise BadRequest(
                f"{role[:40]!r} cannot be a role: it has up to 32 small letters, digits, - and _;"
                f" OPUS knows {', '.join(ROLES)}"
            )
    return roles - {EVERYBODY}


def _line(what: str, text: str) -> str:
    if len(text) > _LONGEST or not text.isprintable():
        raise BadRequest(f"the {what} has up to {_LONGEST} characters on one line")
    return text


def _used() -> NotAuthenticated:
    return NotAuthenticated(
        "this link was used already, or is older than a day; ask for another one"
    )


def _off(name: str) -> NotAllowed:
    return NotAllowed(f"the account {name!r} is switched off; ask an admin of this server")
