"""Lists of jobs, in pages by key, with nothing held between pages.

A list over several phases is a merge: for each phase one range of the same index, each in order,
put together by the database as it reads. So a list costs what it shows, however many jobs of other
phases there are. Sorted by phase or by end, a list is several such lists one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile, islice
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    bindparam,
    false,
    func,
    or_,
    select,
    tuple_,
    union_all,
)

from opus_core.backends import JobQuery, Position, Sort, Storage
from opus_core.job import ANYONE, JobSummary, Phase
from opus_storage_sqlite.clock import micros, micros_or_none
from opus_storage_sqlite.database import Database
from opus_storage_sqlite.document import SUMMARY, AnyRow, parameters_of, summary_of
from opus_storage_sqlite.statements import position
from opus_storage_sqlite.tables import jobs

PAGE: Final = 1000
_WHOLE_PAGE: Final = 100  # where parameters are looked through
_SHOWN: Final = frozenset(Phase) - {Phase.ARCHIVED}

_CREATED: Final = (jobs.c.created, jobs.c.id)
_ENDED: Final = (jobs.c.ended, *_CREATED)

_DOCUMENTS: Final = select(jobs.c.id, jobs.c.document).where(
    jobs.c.id.in_(bindparam("ids", expanding=True))
)

_Key: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """A part of a list that is in the order of some columns."""

    phases: tuple[str, ...]
    order: tuple[ColumnElement[Any], ...] = _CREATED
    only: ColumnElement[bool] | None = None  # with or without an end, where sorted by it
    behind: _Key | None = None  # the key to go on after, in the columns of `order`


class _Reading(NamedTuple):
    """What all pages of one list have in common."""

    query: JobQuery
    descending: bool
    where: ColumnElement[bool]
    page: int


class Lists(Storage):
    """The part of a storage that lists jobs."""

    _database: Database

    def get_list(self, query: JobQuery) -> Iterator[JobSummary]:
        position = query.position()
        if query.last is not None:
            return self._newest(query, position)
        return islice(self._sorted(query, position), query.limit)

    def _newest(self, query: JobQuery, position: Position | None) -> Iterator[JobSummary]:
        """The `last` newest; a cursor says from where of these, not from where to count."""
        stretch = _Stretch(phases=_phases(query))
        newest: Iterator[JobSummary] = self._read(query, [stretch], descending=True)
        newest = islice(newest, query.last)
        if position is not None:
            key = (position.created, position.id)
            newest = dropwhile(lambda shown: (shown.created, shown.id) >= key, newest)
        return islice(newest, query.limit)

    def _sorted(self, query: JobQuery, position: Position | None) -> Iterator[JobSummary]:
        stretches = _stretches(query, position)
        found = self._read(query, stretches, descending=query.reverse)
        if query.sort is Sort.CREATED:
            return found
        return _once(found)  # a job may move on into a stretch that is still to be read

    def _read(
        self, query: JobQuery, stretches: list[_Stretch], *, descending: bool
    ) -> Iterator[JobSummary]:
        whole = _looks_into_parameters(query)
        where = and_(*_filters(query))
        reading = _Reading(query, descending, where, _page_size(query, whole=whole))
        for stretch in stretches:
            for page in self._pages(reading, stretch):
                for row in self._holding(page, query.text.casefold()) if whole else page:
                    yield summary_of(row)

    def _pages(self, reading: _Reading, stretch: _Stretch) -> Iterator[Sequence[AnyRow]]:
        behind = stretch.behind
        while True:
            statement = _statement(reading, stretch, behind)
            with self._database.reading() as connection:
                rows = connection.execute(statement).all()
            yield rows
            if len(rows) < reading.page:
                return
            behind = tuple(getattr(rows[-1], column.name) for column in stretch.order)

    def _holding(self, rows: Sequence[AnyRow], text: str) -> list[AnyRow]:
        """Those rows that have the text in them, or in a parameter of the job."""
        found = {row.id for row in rows if _has(row, text)}
        others = [row.id for row in rows if row.id not in found]
        with self._database.reading() as connection:
            # One document at a time: each may have some MiB.
            with connection.execute(_DOCUMENTS, {"ids": others}) as documents:
                found |= {job_id for job_id, document in documents if _says(document, text)}
        return [row for row in rows if row.id in found]


def _once(found: Iterator[JobSummary]) -> Iterator[JobSummary]:
    seen: set[str] = set()
    for summary in found:
        if summary.id not in seen:
            seen.add(summary.id)
            yield summary


def _phases(query: JobQuery) -> tuple[str, ...]:
    return tuple(sorted(query.phases or _SHOWN))


def _stretches(query: JobQuery, position: Position | None) -> list[_Stretch]:
    """The parts of a list, in order, from the one on that the position is in."""
    phases = _phases(query)
    at = (micros(position.created), position.id) if position is not None else None
    if query.sort is Sort.CREATED:
        return [_Stretch(phases=phases, behind=at)]
    if query.sort is Sort.PHASE:
        here = position.phase if position is not None else None
        parts = [
            _Stretch(phases=(phase,), behind=at if phase == here else None)
            for phase in phases
            if here is None or (phase <= here if query.reverse else phase >= here)
        ]
        return parts[::-1] if query.reverse else parts
    ended = micros_or_none(position.ended) if position is not None else None
    over = _Stretch(
        phases=phases,
        order=_ENDED,
        only=jobs.c.ended.is_not(None),
        behind=(ended, *at) if at is not None and ended is not None else None,
    )
    running = _Stretch(
        phases=phases,
        only=jobs.c.ended.is_(None),
        behind=at if ended is None else None,
    )
    parts = [running, over] if query.reverse else [over, running]
    is_behind_first = at is not None and (ended is None) != query.reverse
    return parts[1:] if is_behind_first else parts


def _filters(query: JobQuery) -> Iterator[ColumnElement[bool]]:
    """What each row must satisfy, but for definition, phase and place."""
    yield jobs.c.doomed.is_(false())
    if query.owner is not ANYONE:
        yield jobs.c.owner == query.owner
    if query.text and not _looks_into_parameters(query):
        text = query.text.casefold()
        # And not LIKE, to which some characters mean others.
        yield or_(position(func.lower(jobs.c.id), text) == 1, position(jobs.c.search, text) > 0)


def _looks_into_parameters(query: JobQuery) -> bool:
    in_a_range = query.after is not None or query.before is not None
    return bool(query.text) and query.owner is not ANYONE and in_a_range


def _has(row: AnyRow, text: str) -> bool:
    return bool(row.id.casefold().startswith(text) or text in (row.run_id or "").casefold())


def _says(document: str, text: str) -> bool:
    parameters = parameters_of(json.loads(document))
    return any(text in parameter.value.casefold() for parameter in parameters)


def _page_size(query: JobQuery, *, whole: bool) -> int:
    wanted = [count for count in (query.limit, query.last) if count is not None]
    # One more than wanted would be read for nothing; a page of none would not end.
    return max(1, min([_WHOLE_PAGE] if whole else [PAGE, *wanted]))


def _statement(
    reading: _Reading, stretch: _Stretch, behind: _Key | None
) -> Select[Any] | CompoundSelect[Any]:
    selected = select(*SUMMARY).where(reading.where, *_bounds(reading, stretch, behind))
    names = [column.name for column in stretch.order]
    definition = reading.query.definition
    if stretch.only is not None:
        if definition is not None:
            selected = selected.where(_unindexed(jobs.c.definition) == definition)
        selected = selected.where(_unindexed(jobs.c.phase).in_(stretch.phases))
        return _in_order(selected, names, reading)
    if definition is not None:
        selected = selected.where(jobs.c.definition == definition)
    parts = [selected.where(jobs.c.phase == phase) for phase in stretch.phases]
    merged = parts[0] if len(parts) == 1 else union_all(*parts)
    return _in_order(merged, names, reading)


def _unindexed(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The same text, but no index is taken for it: that would mean to sort most of all jobs for
    each page, where there is an index in the order of the list."""
    return column.concat("")


def _in_order(
    statement: Select[Any] | CompoundSelect[Any], names: list[str], reading: _Reading
) -> Select[Any] | CompoundSelect[Any]:
    columns = [statement.selected_columns[name] for name in names]
    ordered = [column.desc() for column in columns] if reading.descending else columns
    return statement.order_by(*ordered).limit(reading.page)


def _bounds(
    reading: _Reading, stretch: _Stretch, behind: _Key | None
) -> Iterator[ColumnElement[bool]]:
    """The place to go on from, and the time range."""
    if stretch.only is not None:
        yield stretch.only
    if behind is not None:
        # First, since of two bounds on one side the database begins at the one it meets first.
        columns = tuple_(*stretch.order)
        yield columns < behind if reading.descending else columns > behind
    if reading.query.after is not None:
        yield jobs.c.created > micros(reading.query.after)
    if reading.query.before is not None:
        yield jobs.c.created < micros(reading.query.before)
