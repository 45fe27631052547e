"""Which representation a client wants, by its Accept header.

XML is the default and is preferred to HTML (UWS 1.1 section 2.2.2): HTML goes only to a client
that ranks it above XML, as browsers do. Nobody is answered 406: whoever accepts none of ours is
given the first of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final


class Format(StrEnum):
    """What a document can be had in."""

    XML = "xml"
    JSON = "json"
    HTML = "html"
    TEXT = "text"


_TYPES: Final = {
    Format.XML: ("application/xml", "text/xml"),
    Format.JSON: ("application/json",),
    Format.HTML: ("text/html", "application/xhtml+xml"),
    Format.TEXT: ("text/plain",),
}
# Java's HttpURLConnection sends these with wildcards of q=.2, without anybody having asked for
# HTML: astronomy's Java tools would be given pages.
_JAVA: Final = frozenset({"text/html", "image/gif", "image/jpeg"})
_LONGEST: Final = 2000  # characters of a header that are read
_QUALITY: Final = re.compile(r"[01]?(?:\.[0-9]{0,3})?")


def choose(accept: str, offered: Sequence[Format], wish: str = "") -> Format:
    """One of `offered`, whose order is the server's own preference.

    `wish` is the client's RESPONSEFORMAT (DALI 1.1 section 3.4.3), which comes before its Accept
    header; a format that is not offered is no wish.
    """
    return _choose(accept[:_LONGEST], tuple(offered), wish[:_LONGEST].lower())


@lru_cache(maxsize=256)  # clients are of few kinds
def _choose(accept: str, offered: tuple[Format, ...], wish: str) -> Format:
    for candidate in offered:
        if wish in (candidate.value, *_TYPES[candidate]):
            return candidate
    ranges = _parse(accept)
    if {kind for kind in ranges if "*" not in kind} == _JAVA:
        return offered[0]
    # An explicit type wins over a wildcard of the same quality, but for HTML: it must be better.
    ranks = {one: _rank(ranges, one) for one in offered}
    best = max(offered, key=lambda one: ranks[one])  # the first of equals
    if best is Format.HTML and ranks[best][0] <= max(
        (ranks[one][0] for one in offered if one is not best), default=0.0
    ):
        best = next(one for one in offered if one is not Format.HTML)
    return best if ranks[best][0] > 0 else offered[0]


def _rank(ranges: dict[str, float], candidate: Format) -> tuple[float, int]:
    """Quality and explicitness of the best of the format's types."""
    ranks = []
    for kind in _TYPES[candidate]:
        major = f"{kind.partition('/')[0]}/*"
        for explicit, name in ((2, kind), (1, major), (0, "*/*")):
            if name in ranges:
                ranks.append((ranges[name], explicit))
                break
    return max(ranks, default=(0.0, 0))


def _parse(accept: str) -> dict[str, float]:
    """Media ranges and their qualities; no header means that everything is welcome."""
    ranges: dict[str, float] = {}
    for item in accept.lower().split(","):
        kind, *options = (part.strip() for part in item.split(";"))
        if not kind:
            continue
        quality = 1.0
        for option in options:
            key, _, value = option.partition("=")
            if key.strip() == "q" and _QUALITY.fullmatch(value.strip()):
                quality = min(float(value.strip() or 1), 1.0) if value.strip() != "." else 1.0
        kind = "*/*" if kind == "*" else kind
        ranges[kind] = max(quality, ranges.get(kind, 0.0))
    return ranges or {"*/*": 1.0}
