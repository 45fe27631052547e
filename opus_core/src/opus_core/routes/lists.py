"""One page of a job list: the standard's filters, and our own paging by cursor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Final
from urllib.parse import urlencode

from opus_core.backends import JobQuery, Sort
from opus_core.errors import BadRequest
from opus_core.job import JobSummary
from opus_core.queries import parse_query
from opus_core.routes.asking import Asked

LONGEST_PAGE: Final = 1000  # jobs, where a client asks for pages
PAGE: Final = 100  # jobs on a page of a browser, where it does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The rows, and the URLs of the pages behind and before; empty if there are none."""

    query: JobQuery
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


def read(asked: Asked, name: str, *, by_page: bool = False) -> Listed:
    """The list that was asked for; `by_page`: newest first and by pages, unless said otherwise.

    A cursor that begins with `-` asks for the page before it. Without LIMIT the rows come as they
    are read, and the first of them are read here: an error can still become a response, and a
    list that is short is there as a whole.
    """
    pairs = list(asked.pairs)
    cursor = asked.value("CURSOR")
    backwards = cursor.startswith("-")
    if backwards:
        pairs = [(k, v[1:] if k.upper() == "CURSOR" else v) for k, v in pairs]
    if by_page:
        pairs = [(k, v) for k, v in pairs if v]  # fields of the page's form that were left blank
    query = replace(parse_query(pairs), definition=name)
    if by_page:
        query = _for_people(query, sorted_="SORT" in {key.upper() for key, _ in pairs})
    get = asked.parts.service.get_list
    if query.limit is None:
        if backwards:
            raise BadRequest("a CURSOR that leads back needs a LIMIT")
        rows: Iterator[JobSummary] = get(asked.user, query)
        first = list(islice(rows, PAGE))
        return Listed(query=query, rows=first if len(first) < PAGE else chain(first, rows))
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
        return f"{asked.urls.jobs(name)}?{urlencode([*kept, ('CURSOR', cursor)])}"

    behind = bool(found) and (more or backwards)
    before = bool(found) and query.last is None and (more if backwards else bool(cursor))
    return Listed(
        query=query,
        rows=found,
        next=to(query.cursor_at(found[-1])) if behind else "",
        previous=to(f"-{query.cursor_at(found[0])}") if before else "",
    )


def _for_people(query: JobQuery, *, sorted_: bool) -> JobQuery:
    if query.last is not None:
        # The newest, as LAST has them, but in pages.
        limit = min(query.last, query.limit or LONGEST_PAGE)
        return replace(query, last=None, limit=limit, sort=Sort.CREATED, reverse=True)
    if not sorted_:
        query = replace(query, sort=Sort.CREATED, reverse=True)
    return replace(query, limit=query.limit or PAGE)
