"""Whether a foreign web page made somebody's browser ask.

A browser sends along what its user has not typed: a password it remembers, a certificate, a
cookie, and the mere place in the network, which is all that an anonymous user of a server on
loopback needs. It also says from where the request comes (Fetch Metadata, and `Origin`); clients
that are no browsers say nothing of the kind.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from opus_core.errors import NotAllowed

CSRF: Final = "HTTP_X_OPUS_CSRF"
"""The header by which a script shows the word that only pages of ours are told."""

FOREIGN: Final = (
    "another web site made your browser ask for this, so it was not done; use this server's own"
    " pages, or send a token"
)

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS: Final = {"http": 80, "https": 443}


def check_origin(
    environ: Mapping[str, Any],
    host: str,
    allowed: Collection[str] = (),
    *,
    anonymous: bool = False,
) -> None:
    """Refuse a change that a page of another site made a browser ask for: `NotAllowed`.

    A bearer token is never sent along by a browser itself, so what carries one passes.

    `host` is this server's own, with the port where it is not the usual one. `*` among the
    `allowed` origins lets any page ask for what an anonymous user may do, and nothing in the name
    of somebody: a site that says so shares what the mere place in the network gives.
    """
    if environ.get("REQUEST_METHOD", "GET") in SAFE:
        return
    if str(environ.get("HTTP_AUTHORIZATION", "")).lower().startswith("bearer "):
        return
    site, origin = _said(environ)
    if site in ("same-origin", "none") or (not site and not origin):
        return
    if origin and (origin in allowed or (anonymous and "*" in allowed)):
        return
    # Another port or a sibling host is the same site, yet somebody else's page.
    if site != "cross-site" and _host(origin) == _host(f"//{host}"):
        return
    raise NotAllowed(FOREIGN)


def is_meant(environ: Mapping[str, Any], host: str, allowed: Collection[str], csrf: str) -> bool:
    """Whether a request that brought the cookie of a session was meant by its user.

    To change something it has to come from a page of ours, or of an allowed origin, or show the
    session's CSRF word. To look at something, it may also be typed, a link from elsewhere, or of
    a client that says nothing; but no part of a foreign page.
    """
    if hmac.compare_digest(str(environ.get(CSRF, "")).encode("utf-8", "replace"), csrf.encode()):
        return True
    site, origin = _said(environ)
    if origin and origin in allowed:
        return True
    if site == "same-origin":
        return True
    if not site and origin:
        return _host(origin) == _host(f"//{host}")
    if environ.get("REQUEST_METHOD", "GET") not in SAFE:
        return False
    return site in ("", "none") or environ.get("HTTP_SEC_FETCH_MODE") == "navigate"


def _said(environ: Mapping[str, Any]) -> tuple[str, str]:
    """From which kind of site, and from which origin, a browser says that a request comes."""
    site = str(environ.get("HTTP_SEC_FETCH_SITE", "")).lower()
    return site, str(environ.get("HTTP_ORIGIN", ""))


def _host(origin: str) -> tuple[str | None, int | None] | None:
    """Host and port; the scheme is left out, for behind a proxy it is not known here."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    return parts.hostname, None if port in (None, *_PORTS.values()) else port
