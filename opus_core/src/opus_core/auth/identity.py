"""Who is asking, and whether a foreign web page made their browser ask.

In this order: the web server in front says so (REMOTE_USER), a plugin says so, nobody known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from opus_core.backends import RequestView, User
from opus_core.errors import NotAllowed

Authenticate = Callable[[RequestView], User | None]

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_PORTS: Final = {"http": 80, "https": 443}


def identify(environ: Mapping[str, Any], authenticate: Authenticate) -> User:
    """The user behind a request; somebody anonymous has only an address.

    Raises `NotAuthenticated` if a plugin does, for credentials that are its own and wrong.
    """
    address = str(environ.get("REMOTE_ADDR") or "")
    request = view(environ)
    if request.remote_user is not None:
        return User(name=request.remote_user, address=address)
    user = authenticate(request)
    if user is None:
        return User(name=None, address=address)
    return user if user.address else replace(user, address=address)


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


def _remote_user(environ: Mapping[str, Any]) -> str | None:
    """Set by the web server only: a header of that name arrives as HTTP_REMOTE_USER."""
    try:
        name = str(environ.get("REMOTE_USER") or "").encode("latin-1").decode()
    except UnicodeError as error:
        # With a replacement character for what is none, two users would be one.
        raise NotAllowed("the name of the user is not in UTF-8") from error
    if _CONTROL.search(name):
        raise NotAllowed("the name of the user has control characters in it")
    return name or None


def _decoded(text: object) -> str:
    """Text of a WSGI environ: bytes in the guise of latin-1 (PEP 3333), UTF-8 in truth."""
    return str(text or "").encode("latin-1", "replace").decode("utf-8", "replace")


def check_origin(
    environ: Mapping[str, Any],
    host: str,
    allowed: Collection[str] = (),
    *,
    anonymous: bool = False,
) -> None:
    """Refuse a change that a page of another site made a browser ask for: `NotAllowed`.

    A browser sends along what its user has not typed: a password it remembers, a certificate, a
    cookie, and the mere place in the network, which is all that an anonymous user of a server on
    loopback needs. A bearer token is never sent along, so what carries one passes; and so do
    clients that are no browsers, since they send neither of the two headers that are asked here.

    `host` is this server's own, with the port where it is not the usual one. `*` among the
    `allowed` origins lets any page ask for what an anonymous user may do, and nothing in the name
    of somebody: a site that says so shares what the mere place in the network gives.
    """
    if environ.get("REQUEST_METHOD", "GET") in _SAFE:
        return
    if str(environ.get("HTTP_AUTHORIZATION", "")).lower().startswith("bearer "):
        return
    site = str(environ.get("HTTP_SEC_FETCH_SITE", "")).lower()
    origin = str(environ.get("HTTP_ORIGIN", ""))
    if site in ("same-origin", "none") or (not site and not origin):
        return
    if origin and (origin in allowed or (anonymous and "*" in allowed)):
        return
    # Another port or a sibling host is the same site, yet somebody else's page.
    if site != "cross-site" and _host(origin) == _host(f"//{host}"):
        return
    raise NotAllowed(
        "another web site made your browser ask for this, so it was not done; use this server's"
        " own pages, or send a token"
    )


def _host(origin: str) -> tuple[str | None, int | None] | None:
    """Host and port; the scheme is left out, for behind a proxy it is not known here."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    return parts.hostname, None if port in (None, *_PORTS.values()) else port
