"""Lists of the memory storage: what a query means, in a few lines of Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from opus_core.backends import JobQuery, Position, Sort
from opus_core.job import ANYONE, Job, JobSummary, Phase
from opus_core.testing.memory_universe import Universe

PAGE: Final = 1000
_LONG_AGO: Final = datetime(1, 1, 1, tzinfo=UTC)


class MemoryLists:
    """`get_list` over the rows of a universe."""

    universe: Universe

    def get_list(self, query: JobQuery) -> Iterator[JobSummary]:
        query.position()  # a wrong cursor is refused here, not when the first row is read
        return self._pages(query)

    def _pages(self, query: JobQuery) -> Iterator[JobSummary]:
        left = query.limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page = self._page(query, size)
            yield from page
            if len(page) < size:
                return
            left = None if left is None else left - len(page)
            query = replace(query, cursor=query.cursor_at(page[-1]))

    def _page(self, query: JobQuery, size: int) -> list[JobSummary]:
        by_age = query.last is not None
        sort = Sort.CREATED if by_age else query.sort
        with self.universe.changed:
            jobs = [row.job for row in self.universe.rows.values() if self._matches(row.job, query)]
        jobs.sort(key=lambda job: self._sort_key(sort, job), reverse=by_age or query.reverse)
        position = query.position()
        listed = jobs[: query.last]
        if position is not None:
            here = self._sort_key(query.sort, position)
            backwards = by_age or query.reverse
            listed = [
                job
                for job in listed
                if (
                    self._sort_key(sort, job) < here
                    if backwards
                    else self._sort_key(sort, job) > here
                )
            ]
        return [job.summary() for job in listed[:size]]

    def _matches(self, job: Job, query: JobQuery) -> bool:
        if job.doomed:
            return False
        if query.definition is not None and job.definition.name != query.definition:
            return False
        if query.owner is not ANYONE and job.owner != query.owner:
            return False
        if job.phase not in (query.phases or set(Phase) - {Phase.ARCHIVED}):
            return False
        if query.after is not None and job.created <= query.after:
            return False
        if query.before is not None and job.created >= query.before:
            return False
        return not query.text or self._says(job, query)

    def _says(self, job: Job, query: JobQuery) -> bool:
        text = query.text.casefold()
        if job.id.casefold().startswith(text) or text in (job.run_id or "").casefold():
            return True
        narrow = query.owner is not ANYONE and (query.after or query.before) is not None
        return narrow and any(text in parameter.value.casefold() for parameter in job.parameters)

    def _sort_key(self, sort: Sort, at: Job | Position) -> tuple[object, ...]:
        if sort is Sort.PHASE:
            return (at.phase.value if at.phase else "", at.created, at.id)
        if sort is Sort.ENDED:
            return (at.ended is None, at.ended or _LONG_AGO, at.created, at.id)
        return (at.created, at.id)
