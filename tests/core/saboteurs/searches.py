"""Storages with one promise broken each, about looking for a text."""

from __future__ import annotations

import re
from dataclasses import replace

from core.saboteurs import storages
from core.saboteurs.registry import breaks
from core.saboteurs.storages import Saboteur
from opus_core.job import ANYONE
from opus_core.testing.storage_search import SearchPromises

fixtures = storages.fixtures


@breaks(SearchPromises, "test_text_finds_the_beginning_of_an_id")
class FindsInTheMiddleOfAnId(Saboteur):
    def _says(self, job, query):
        return super()._says(job, query) or query.text.lower() in job.id


@breaks(SearchPromises, "test_text_finds_a_part_of_a_run_id_without_regard_to_case")
class RunIdsOfOneCase(Saboteur):
    def _says(self, job, query):
        run_id = job.run_id if job.run_id and query.text in job.run_id else None
        return super()._says(replace(job, run_id=run_id), query)


@breaks(SearchPromises, "test_text_has_no_wildcards")
class Wildcards(Saboteur):
    def _says(self, job, query):
        like = "".join(
            {"%": ".*", "_": "."}.get(character, re.escape(character)) for character in query.text
        )
        return super()._says(job, query) or bool(re.search(like, job.run_id or ""))


@breaks(
    SearchPromises,
    "test_text_finds_a_parameter_with_an_owner_and_a_time",
    "test_text_finds_a_parameter_of_somebody_anonymous",
    "test_text_is_one_more_filter",
)
class FindsNoParameter(Saboteur):
    def _says(self, job, query):
        return super()._says(replace(job, parameters=()), query)


@breaks(SearchPromises, "test_text_finds_no_parameter_without_an_owner_and_a_time")
class FindsEveryParameter(Saboteur):
    def _says(self, job, query):
        values = [one.value.lower() for one in job.parameters]
        return super()._says(job, query) or any(query.text.lower() in one for one in values)


@breaks(SearchPromises, "test_text_finds_values_and_not_names_of_parameters")
class FindsInTheDocument(Saboteur):
    def _says(self, job, query):
        narrow = query.owner is not ANYONE and (query.after or query.before)
        return super()._says(job, query) or bool(narrow and query.text in repr(job.parameters))


@breaks(
    SearchPromises,
    "test_text_finds_a_parameter_of_somebody_anonymous",
    says="nobody .* is an owner, too",
)
class NobodyIsNoOwner(Saboteur):
    def _says(self, job, query):
        return super()._says(replace(job, parameters=()) if query.owner is None else job, query)


@breaks(SearchPromises, "test_text_is_one_more_filter", says="filters are a logical AND")
class TextOutweighsTheRest(Saboteur):
    def _matches(self, job, query):
        said = query.text and not job.doomed and query.text in (job.run_id or "")
        return bool(said) or super()._matches(job, query)


@breaks(SearchPromises, "test_text_is_one_more_filter", says="never listed")
class FindsTheDoomedById(Saboteur):
    def _matches(self, job, query):
        return query.text == job.id or super()._matches(job, query)
