"""Which jobs a list shows, and how long a client is willing to wait: the query of a GET.

Names are not case-sensitive (DALI 1.1 section 3.1), values are. What a name does not concern is
passed over, as everywhere on the web; a bad value is a `BadRequest`, never a list of other jobs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from opus_core.backends import JobQuery, Sort
from opus_core.errors import BadRequest
from opus_core.job import Phase, cut
from opus_core.values import not_before, parse_instant, shown

_WHOLE: Final = re.compile(r"(?P<sign>[+-]?)(?P<digits>[0-9]+)")
LARGEST: Final = 2**31 - 1  # what xs:int and every storage can hold
_STANDARD: Final = frozenset({"PHASE", "AFTER", "LAST"})
_OURS: Final = frozenset({"CURSOR", "LIMIT", "BEFORE", "TEXT", "SORT", "OWNER"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A GET of a job that may block (UWS 1.1 section 2.2.1.2)."""

    seconds: int  # -1: as long as the server likes
    phase: Phase | None = None  # the phase the client believes the job in


def parse_query(pairs: Iterable[tuple[str, str]], *, extended: bool = True) -> JobQuery:
    """The filters of a job list (UWS 1.1 section 2.2.2.1): PHASE, which may stand several times,
    AFTER and LAST; if `extended`, our own CURSOR, LIMIT, BEFORE, TEXT, SORT and OWNER as well.

    SORT is `created`, `phase` or `ended`, with a hyphen before it for the reverse.
    """
    legal = _STANDARD | _OURS if extended else _STANDARD
    phases: set[Phase] = set()
    given: dict[str, str] = {}
    for name, value in pairs:
        upper = name.upper()
        if upper == "PHASE":
            phases.add(parse_phase(value))
        elif upper in legal:
            once(given, upper, value)
    query = JobQuery(phases=frozenset(phases))
    if "AFTER" in given:
        query = replace(query, after=cut(_instant(given, "AFTER")))
    if "BEFORE" in given:
        query = replace(query, before=not_before(_instant(given, "BEFORE")))
    if "LAST" in given:
        query = replace(query, last=_positive(given, "LAST"))
    if "LIMIT" in given:
        query = replace(query, limit=_positive(given, "LIMIT"))
    if "TEXT" in given:
        query = replace(query, text=_text(given, "TEXT"))
    if "OWNER" in given:
        query = replace(query, owner=_text(given, "OWNER") or None)
    if "SORT" in given:
        reverse, word = given["SORT"].startswith("-"), given["SORT"].removeprefix("-")
        query = replace(query, sort=_sort(word), reverse=reverse)
    query = replace(query, cursor=given.get("CURSOR", ""))
    query.position()
    return query


def parse_wait(pairs: Iterable[tuple[str, str]]) -> Wait | None:
    """WAIT and, with it, PHASE; None without WAIT."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name.upper() in ("WAIT", "PHASE"):
            once(given, name.upper(), value)
    if "WAIT" not in given:
        return None
    seconds = whole(given["WAIT"])
    if seconds is None or seconds < -1:
        raise BadRequest(
            f"WAIT cannot be {shown(given['WAIT'])}; it is a whole number of seconds, or -1"
        )
    phase = parse_phase(given["PHASE"]) if "PHASE" in given else None
    return Wait(seconds=seconds, phase=phase)


def parse_phase(text: str) -> Phase:
    """One of the ten names, in upper case."""
    try:
        return Phase(text)
    except ValueError as error:
        raise BadRequest(
            f"unknown phase {shown(text)}; expected one of {', '.join(Phase)}"
        ) from error


def once(given: dict[str, str], name: str, value: str) -> None:
    """Note a value that may stand only once (DALI 1.1 section 3.2)."""
    if name in given:
        raise BadRequest(f"{name} was sent twice; send it once")
    given[name] = value


def whole(text: str) -> int | None:
    """A whole number, cut to within plus and minus `LARGEST`; None if it is none."""
    match = _WHOLE.fullmatch(text.strip())
    if match is None:
        return None
    digits = match["digits"].lstrip("0")
    # int() refuses some thousands of digits; eleven are beyond the cut already.
    number = min(int(digits[:11] or "0"), LARGEST)
    return -number if match["sign"] == "-" else number


def _instant(given: dict[str, str], name: str) -> datetime:
    try:
        return parse_instant(given[name])
    except BadRequest as error:
        raise BadRequest(f"{name}: {error.sentence}") from error


def _positive(given: dict[str, str], name: str) -> int:
    number = whole(given[name])
    if number is None or number < 1:
        raise BadRequest(f"{name} cannot be {shown(given[name])}; it is a whole number above 0")
    return number


def _text(given: dict[str, str], name: str) -> str:
    if "\0" in given[name]:
        raise BadRequest(f"{name} has a character in it that no text can hold")
    return given[name]


def _sort(word: str) -> Sort:
    try:
        return Sort(word.lower())
    except ValueError as error:
        raise BadRequest(
            f"SORT cannot be {shown(word)}; expected one of {', '.join(Sort)}, or -created"
            " for the reverse"
        ) from error
