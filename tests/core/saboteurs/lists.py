"""Storages with one promise broken each, about lists."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import islice

from core.saboteurs import storages
from core.saboteurs.registry import breaks
from core.saboteurs.storages import Saboteur
from opus_core.backends import JobQuery, Sort
from opus_core.errors import Unavailable
from opus_core.job import ANYONE, Phase
from opus_core.testing.storage_lists import ListPromises

fixtures = storages.fixtures
MILLISECOND = timedelta(milliseconds=1)


@breaks(ListPromises, "test_a_list_shows_the_summaries_of_jobs")
class ListsLessThanSummaries(Saboteur):
    def get_list(self, query):
        return (replace(one, destruction=None) for one in super().get_list(query))


@breaks(ListPromises, "test_a_list_never_shows_doomed_jobs")
class ListsTheDoomed(Saboteur):
    def _matches(self, job, query):
        return super()._matches(replace(job, marks=frozenset()), query)


@breaks(ListPromises, "test_without_phases_all_but_archived_jobs_are_listed")
class ListsTheArchived(Saboteur):
    def _matches(self, job, query):
        return super()._matches(job, replace(query, phases=query.phases or frozenset(Phase)))


@breaks(ListPromises, "test_phases_are_alternatives")
class NeverListsOnlyTheArchived(Saboteur):
    def _matches(self, job, query):
        return super()._matches(job, query) and query.phases != {Phase.ARCHIVED}


@breaks(ListPromises, "test_definition_is_compared_by_name")
class DefinitionsThatBeginSo(Saboteur):
    def _matches(self, job, query):
        if query.definition and job.definition.name.startswith(query.definition):
            query = replace(query, definition=job.definition.name)
        return super()._matches(job, query)


@breaks(ListPromises, "test_owner_filters_by_name")
class OwnersOfAnyCase(Saboteur):
    def _matches(self, job, query):
        if isinstance(query.owner, str) and job.owner:
            query = replace(query, owner=query.owner.lower())
            job = replace(job, owner=job.owner.lower())
        return super()._matches(job, query)


@breaks(ListPromises, "test_owner_none_is_anonymous_jobs_only")
class NobodyIsEmpty(Saboteur):
    def _matches(self, job, query):
        return super()._matches(replace(job, owner=job.owner or None), query)


@breaks(ListPromises, "test_after_is_strictly_later")
class AfterOrAt(Saboteur):
    def _matches(self, job, query):
        return super()._matches(
            job, replace(query, after=query.after and query.after - MILLISECOND)
        )


@breaks(ListPromises, "test_before_is_strictly_earlier")
class BeforeOrAt(Saboteur):
    def _matches(self, job, query):
        return super()._matches(
            job, replace(query, before=query.before and query.before + MILLISECOND)
        )


@breaks(ListPromises, "test_filters_are_a_logical_and")
class OwnerOutweighsDefinition(Saboteur):
    def _matches(self, job, query):
        if query.owner is not ANYONE:
            query = replace(query, definition=None)
        return super()._matches(job, query)


@breaks(
    ListPromises,
    "test_the_order_is_of_creation_and_then_of_id",
    "test_last_is_the_n_created_last_newest_first",
)
class TiesFallBackwards(Saboteur):
    def _sort_key(self, sort, at):
        if sort is Sort.CREATED:
            return (at.created, [-ord(character) for character in at.id])
        return super()._sort_key(sort, at)


@breaks(ListPromises, "test_sorted_by_phase_it_is_by_the_name_of_the_phase")
class PhasesInTheirOwnOrder(Saboteur):
    def _sort_key(self, sort, at):
        if sort is Sort.PHASE:
            return (list(Phase).index(at.phase), at.created, at.id)
        return super()._sort_key(sort, at)


@breaks(ListPromises, "test_sorted_by_end_those_not_ended_come_last")
class NotEndedFirst(Saboteur):
    def _sort_key(self, sort, at):
        key = super()._sort_key(sort, at)
        return (not key[0], *key[1:]) if sort is Sort.ENDED else key


@breaks(ListPromises, "test_reverse_turns_the_whole_order_round")
class PhasesNeverReversed(Saboteur):
    def get_list(self, query):
        if query.sort is Sort.PHASE:
            query = replace(query, reverse=False)
        return super().get_list(query)


@breaks(
    ListPromises,
    "test_last_is_the_n_created_last_newest_first",
    "test_last_overrides_sort_and_reverse",
    "test_last_counts_what_the_filters_leave",
    "test_with_last_a_cursor_moves_within_these_n",
)
class LastOldestFirst(Saboteur):
    def get_list(self, query):
        found = super().get_list(query)
        return iter(list(found)[::-1]) if query.last else found


@breaks(ListPromises, "test_last_overrides_sort_and_reverse")
class LastHeedsTheSort(Saboteur):
    def get_list(self, query):
        if query.last and query.sort is not Sort.CREATED:
            query = replace(query, last=None, limit=query.last)
        return super().get_list(query)


@breaks(ListPromises, "test_last_counts_what_the_filters_leave")
class LastBeforeFilters(Saboteur):
    def get_list(self, query):
        found = super().get_list(query)
        if query.last:
            latest = {one.id for one in super().get_list(JobQuery(last=query.last))}
            return (one for one in found if one.id in latest)
        return found


@breaks(ListPromises, "test_limit_cuts_what_the_filters_leave")
class LimitBeforeFilters(Saboteur):
    def get_list(self, query):
        found = super().get_list(query)
        if query.limit:
            first = {one.id for one in super().get_list(JobQuery(limit=query.limit))}
            return (one for one in found if one.id in first)
        return found


@breaks(
    ListPromises,
    "test_a_cursor_goes_on_behind_the_job_it_was_given",
    "test_with_last_a_cursor_moves_within_these_n",
)
class CursorsIncludeTheirJob(Saboteur):
    def get_list(self, query):
        position = query.position()
        found = super().get_list(query)
        again = self.stored(position.id) if position else None
        return iter([again.summary(), *found]) if again else found


@breaks(ListPromises, "test_with_last_a_cursor_moves_within_these_n")
class LastCountsFromTheCursor(Saboteur):
    def get_list(self, query):
        if query.cursor and query.last is not None:
            listed = super().get_list(replace(query, last=10**6))
            return islice(listed, query.last)
        return super().get_list(query)


@breaks(ListPromises, "test_a_cursor_outlives_its_job")
class CursorsDieWithTheirJob(Saboteur):
    def get_list(self, query):
        position = query.position()
        if position and not self.stored(position.id):
            return iter(())
        return super().get_list(query)


@breaks(ListPromises, "test_a_wrong_cursor_is_refused_at_the_call")
class RefusesLate(Saboteur):
    def get_list(self, query):
        yield from super().get_list(query)


@breaks(ListPromises, "test_a_list_longer_than_a_page_is_whole_while_others_delete")
class PagesByOffset(Saboteur):
    def _pages(self, query):
        offset = 0
        while page := self._page(query, 10**6)[: query.limit][offset : offset + 1000]:
            yield from page
            offset += len(page)


@breaks(
    ListPromises,
    "test_a_slow_reader_stops_nobody",
    "test_lists_that_nobody_reads_on_hold_nothing",
)
class ReadsUnderALock(Saboteur):
    def _pages(self, query):
        with self.universe.changed:
            yield from super()._pages(query)


@breaks(ListPromises, "test_none_of_a_list_is_none", says="a limit of 0 is a limit")
class NoughtIsNoLimit(Saboteur):
    def get_list(self, query):
        return super().get_list(replace(query, limit=query.limit or None))


@breaks(ListPromises, "test_none_of_a_list_is_none", says="the last 0 are none")
class NoughtIsNotLast(Saboteur):
    def get_list(self, query):
        return super().get_list(replace(query, last=query.last or None))


@breaks(
    ListPromises,
    "test_lists_that_nobody_reads_on_hold_nothing",
    says="no connection is free",
)
class HoldsAConnection(Saboteur):
    def _pages(self, query):
        held = self.universe.__dict__.setdefault("held", [])
        if len(held) >= 50:
            raise Unavailable("no connection is free")
        held.append(query)
        try:
            yield from super()._pages(query)
        finally:
            held.remove(query)
