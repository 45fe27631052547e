"""Let scripts of pages of other sites use this server, where a site says so (CORS, Fetch standard).

A listed origin may do whatever its visitor may, signed in by the browser too. `*` stands for pages
of any site, and those never act for somebody whom the browser signs in by itself: they are told
nothing if it sent along such credentials, and `opus_core.auth.origin` refuses what they ask for
in that name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

Headers = list[tuple[str, str]]

EVERYBODY: Final = "*"

_METHODS: Final = "GET, HEAD, POST, PUT, DELETE"
_EXPOSED: Final = ", ".join(
    (
        "Accept-Ranges",
        "Allow",
        "Content-Disposition",
        "Content-Length",
        "Content-Location",
        "Content-Range",
        "ETag",
        "Link",
        "Location",
        "Retry-After",
        "WWW-Authenticate",
        "X-Request-ID",
    )
)
_REMEMBER: Final = "600"  # [s] a browser need not ask again
_NAMES: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:\s*,\s*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")
_LONGEST: Final = 1000  # characters of the names of headers


class Cors:
    """What is said to pages of these origins, which are as browsers write them, or `*`."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def __bool__(self) -> bool:
        return bool(self._origins)

    def preflight(self, environ: Mapping[str, Any]) -> Headers | None:
        """The headers of the answer if a browser asks whether a page may send a request; None if
        it asks something else, or for a page that may not."""
        if environ.get("REQUEST_METHOD") != "OPTIONS":
            return None
        allowed = self._allowed(environ)
        if not allowed or not environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD"):
            return None
        answer = [
            *allowed,
            ("Access-Control-Allow-Methods", _METHODS),
            ("Access-Control-Max-Age", _REMEMBER),
            ("Vary", "Origin, Access-Control-Request-Headers"),
        ]
        asked = str(environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")).strip()
        # Plugins that know who is asking may want headers of their own.
        if len(asked) <= _LONGEST and _NAMES.fullmatch(asked):
            answer.append(("Access-Control-Allow-Headers", asked))
        return answer

    def added(self, headers: Headers, environ: Mapping[str, Any]) -> Headers:
        """The headers of any answer, with what the page that asked may see of it."""
        varied = [value for name, value in headers if name.lower() == "vary"]
        rest = [(name, value) for name, value in headers if name.lower() != "vary"]
        if self._origins != {EVERYBODY}:
            varied.append("Origin")
        if varied:
            rest.append(("Vary", ", ".join(varied)))
        if allowed := self._allowed(environ):
            rest += [*allowed, ("Access-Control-Expose-Headers", _EXPOSED)]
        return rest

    def _allowed(self, environ: Mapping[str, Any]) -> Headers:
        origin = str(environ.get("HTTP_ORIGIN", ""))
        if not origin:
            return []
        if origin in self._origins and origin != EVERYBODY:
            return [
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Allow-Credentials", "true"),
            ]
        if EVERYBODY in self._origins:
            return [("Access-Control-Allow-Origin", EVERYBODY)]
        return []
