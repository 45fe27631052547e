"""One page of a job list: the standard's filters, and our own paging by cursor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Final
from urllib.parse import urlencode

from opus_core.errors import BadRequest
from opus_core.job import JobSummary
from opus_core.queries import parse_query
from opus_core.routes.asking import Asked

LONGEST_PAGE: Final = 1000  # jobs, where a client asks for pages
_WHOLE: Final = 100  # jobs that are read before the answer begins


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The rows, and the URLs of the pages behind and before; empty if there are none."""

    rows: Iterable[JobSummary]
    next: str = ""
    previous: str = ""

    @property
    def whole(self) -> bool:
        """All rows are in memory; else there may be any number of them."""
        return isinstance(self.rows, list)

    @property
    def link(self) -> str:
        """The Link header (RFC 8288); empty for none."""
        ways = (("next", self.next), ("prev", self.previous))
        return ", ".join(f'<{url}>; rel="{way}"' for way, url in ways if url)


def read(asked: Asked, url: str, name: str | None) -> Listed:
    """The list at `url` that was asked for, of one description or, without a name, of all.

    A cursor that begins with `-` asks for the page before it. Without LIMIT the rows come as they
    are read, and the first of them are read here: an error can still become a response, and a
    list that is short is there as a whole.
    """
    pairs = list(asked.pairs)
    cursor = asked.value("CURSOR")
    backwards = cursor.startswith("-")
    if backwards:
        pairs = [(k, v[1:] if k.upper() == "CURSOR" else v) for k, v in pairs]
    query = replace(parse_query(pairs), definition=name)
    get = asked.parts.service.get_list
    if query.limit is None:
        if backwards:
            raise BadRequest("a CURSOR that leads back needs a LIMIT")
        rows: Iterator[JobSummary] = get(asked.user, query)
        first = list(islice(rows, _WHOLE))
        return Listed(rows=first if len(first) < _WHOLE else chain(first, rows))
    if backwards and query.last is not None:
        raise BadRequest("LAST cannot be paged backwards; use SORT=-created and LIMIT")
    size = min(query.limit, LONGEST_PAGE)
    step = replace(query, limit=size + 1, reverse=query.reverse != backwards)
    found = list(get(asked.user, step))
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()

    def to(cursor: str) -> str:
        kept = [(key, value) for key, value in asked.pairs if key.upper() != "CURSOR"]
        return f"{url}?{urlencode([*kept, ('CURSOR', cursor)])}"

    behind = bool(found) and (more or backwards)
    before = bool(found) and query.last is None and (more if backwards else bool(cursor))
    return Listed(
        rows=found,
        next=to(query.cursor_at(found[-1])) if behind else "",
        previous=to(f"-{query.cursor_at(found[0])}") if before else "",
    )
