"""Who is asking: the one place that knows all the ways to say so.

In this order: the web server in front has said so (REMOTE_USER, or the header of a trusted proxy,
see `opus_core.forwarded`); credentials in `Authorization`, ours or a plugin's; the cookie of a
browser's session; nobody known. Credentials that are wrong are never as good as none.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from opus_core.auth.origin import FOREIGN, SAFE
from opus_core.auth.people import People
from opus_core.auth.sessions import COOKIE, COOKIE_IN_PLAIN
from opus_core.auth.tokens import is_token
from opus_core.backends import RequestView, Session, User
from opus_core.errors import NotAllowed, NotAuthenticated
from opus_core.forwarded import FROM_HEADER

Authenticate = Callable[[RequestView], User | None]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_COOKIE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is asking, and by which session, if by one."""

    user: User
    cookie: str = ""
    session: Session | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Recognises callers. `people`: the accounts, where the storage keeps any."""

    people: People | None
    authenticate: Authenticate

    def caller(
        self, environ: Mapping[str, Any], *, private: bool, counts: Callable[[str], bool]
    ) -> Caller:
        """The one behind a request; somebody anonymous has only an address.

        `private`: nobody can listen to the connection, so it may carry passwords and cookies;
        `counts` says of a cookie's CSRF word whether this request was meant by its user.

        Raises `NotAuthenticated` for credentials that are wrong, `NotAllowed` for an account that
        is switched off.
        """
        request = view(environ)
        address = request.remote_addr
        user = self._named(request, private=private)
        if user is not None:
            return Caller(user=user if user.address else replace(user, address=address))
        if self.people is not None and private:
            cookie = cookie_of(environ)
            found = self.people.by_cookie(cookie) if cookie else None
            if found is not None and counts(self.people.sessions.csrf(cookie)):
                user, session = found
                return Caller(user=replace(user, address=address), cookie=cookie, session=session)
            if found is not None and request.method not in SAFE:
                # As somebody anonymous it might be done all the same, and nobody would know whose.
                raise NotAllowed(FOREIGN)
        return Caller(user=User(name=None, address=address))

    def _named(self, request: RequestView, *, private: bool) -> User | None:
        people = self.people
        if request.remote_user is not None:
            return self._vouched(User(name=request.remote_user))
        credentials = request.headers.get("authorization", "")
        if people is not None and credentials:
            scheme, _, value = credentials.partition(" ")
            if scheme.lower() == "bearer" and is_token(value.strip()):
                return people.by_token(value.strip())
            if scheme.lower() == "basic":
                name, secret = _basic(value)
                if is_token(secret):
                    return people.by_token(secret, name)
        user = self.authenticate(request)
        if user is not None:
            return self._vouched(user)
        if not credentials:
            return None
        if people is not None and people.passwords and credentials.lower().startswith("basic "):
            if not private:
                raise NotAuthenticated(
                    "a password is taken over https alone, and this one has been sent in plain"
                    " text; change it"
                )
            return people.by_password(*_basic(credentials[6:]), address=request.remote_addr)
        raise NotAuthenticated("nobody here knows these credentials; show a token of this server")

    def _vouched(self, user: User) -> User:
        return user if self.people is None else self.people.vouched(user)


def view(environ: Mapping[str, Any]) -> RequestView:
    """What a plugin sees of a WSGI request."""
    headers = {
        key[5:].replace("_", "-").lower(): str(value)
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(key):
            headers[key.replace("_", "-").lower()] = str(environ[key])
    return RequestView(
        method=str(environ.get("REQUEST_METHOD", "GET")),
        path=_decoded(environ.get("PATH_INFO")),
        headers=headers,
        remote_addr=str(environ.get("REMOTE_ADDR") or ""),
        remote_user=_remote_user(environ),
    )


def cookie_of(environ: Mapping[str, Any]) -> str:
    """The cookie of a session, or nothing. Of two of one name none is right: somebody on another
    port or path may have set one."""
    wanted = COOKIE if environ.get("wsgi.url_scheme") == "https" else COOKIE_IN_PLAIN
    header = str(environ.get("HTTP_COOKIE", ""))
    values = [
        value.strip(' \t"')
        for name, _, value in (part.partition("=") for part in header.split(";"))
        if name.strip() == wanted
    ]
    return values[0] if len(values) == 1 and _COOKIE.fullmatch(values[0]) else ""


def _basic(value: str) -> tuple[str, str]:
    """Name and password (RFC 7617)."""
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except ValueError:  # no base64, not in ASCII, or not in UTF-8
        text = ""
    name, colon, secret = text.partition(":")
    if not colon:
        raise NotAuthenticated("the Basic credentials are malformed; send `user:token` in base64")
    return name, secret


def _remote_user(environ: Mapping[str, Any]) -> str | None:
    """Set by the web server only: a header of that name arrives as HTTP_REMOTE_USER."""
    try:
        name = str(environ.get("REMOTE_USER") or "").encode("latin-1").decode()
    except UnicodeError as error:
        # With a replacement character for what is none, two users would be one.
        raise NotAllowed("the name of the user is not in UTF-8") from error
    if _CONTROL.search(name):
        raise NotAllowed("the name of the user has control characters in it")
    if "," in name and environ.get(FROM_HEADER):
        # Servers join headers of one name so; the first may be the client's own.
        raise NotAllowed("the header that names the user was sent twice; let the proxy replace it")
    return name or None


def _decoded(text: object) -> str:
    """Text of a WSGI environ: bytes in the guise of latin-1 (PEP 3333), UTF-8 in truth."""
    return str(text or "").encode("latin-1", "replace").decode("utf-8", "replace")
