"""Promises of `Storage.get_list` about text: where it is looked for, and how it is compared."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from opus_core.backends import JobQuery, Storage
from opus_core.job import Parameter, Phase
from opus_core.testing.samples import DOOMED, LONG_AGO, a_job, jobs_at
from opus_core.testing.storage_kit import StorageKit


class SearchPromises(StorageKit):
    """A text finds what begins or says so, and nothing that it has no business with."""

    # -- text

    def test_text_finds_the_beginning_of_an_id(self, storage: Storage) -> None:
        job = storage.add(a_job(id="0123abcd" + 24 * "e"))
        storage.add(a_job(id="9" + 31 * "f"))
        for text in ("0123ab", "0123ABCD", job.id):
            assert _ids(storage, text=text) == [job.id]
        assert _ids(storage, text="123ab") == [], "found in the middle of an id"

    def test_text_finds_a_part_of_a_run_id_without_regard_to_case(self, storage: Storage) -> None:
        job = storage.add(a_job(run_id="The Great Comet of 1744"))
        storage.add(a_job(run_id="Halley"))
        storage.add(a_job(run_id=None))
        for text in ("great comet", "THE", "1744"):
            assert _ids(storage, text=text) == [job.id]

    def test_text_has_no_wildcards(self, storage: Storage) -> None:
        jobs = {name: storage.add(a_job(run_id=name)) for name in ("x50%y", "x50_y", "x50\\y")}
        storage.add(a_job(run_id="x50 y"))
        for character in "%_\\":
            assert _ids(storage, text=f"50{character}") == [jobs[f"x50{character}y"].id]

    def test_text_finds_a_parameter_with_an_owner_and_a_time(self, storage: Storage) -> None:
        x = (Parameter(name="x", value="1"), Parameter(name="y", value="Sunspot 'n' \"more\""))
        job = jobs_at(storage, 1, parameters=x)[0]
        jobs_at(storage, 1, parameters=x, owner="bob")
        jobs_at(storage, 1)
        for text in ("spot", "SUNSPOT", "'n' \"more\""):
            assert _ids(storage, text=text, owner="ann", after=LONG_AGO) == [job.id]
            soon = job.created + timedelta(days=1)
            assert _ids(storage, text=text, owner="ann", before=soon) == [job.id]

    def test_text_finds_a_parameter_of_somebody_anonymous(self, storage: Storage) -> None:
        x = (Parameter(name="x", value="sunspot"),)
        job = jobs_at(storage, 1, parameters=x, owner=None)[0]
        jobs_at(storage, 1, parameters=x)
        found = _ids(storage, text="sunspot", owner=None, after=LONG_AGO)
        assert found == [job.id], "nobody (None) is an owner, too"

    def test_text_is_one_more_filter(self, storage: Storage) -> None:
        x = (Parameter(name="x", value="sunspot"),)
        wanted = jobs_at(storage, 1, parameters=x, phase=Phase.ERROR)[0]
        jobs_at(storage, 1, run_id="sunspot")
        jobs_at(storage, 1, run_id="sunspot", owner="bob", phase=Phase.ERROR)
        jobs_at(storage, -1, run_id="sunspot", phase=Phase.ERROR)
        jobs_at(storage, 1, phase=Phase.ERROR)
        doomed = jobs_at(storage, 1, run_id="sunspot", phase=Phase.ERROR, marks=DOOMED)[0]
        query = {"owner": "ann", "after": LONG_AGO, "phases": frozenset({Phase.ERROR})}
        assert _ids(storage, text="sunspot", **query) == [wanted.id], "filters are a logical AND"
        assert _ids(storage, text=doomed.id) == [], "doomed jobs are never listed"

    def test_text_finds_no_parameter_without_an_owner_and_a_time(self, storage: Storage) -> None:
        jobs_at(storage, 1, parameters=(Parameter(name="x", value="sunspot"),))
        assert _ids(storage, text="sunspot", owner="ann") == []
        assert _ids(storage, text="sunspot", after=LONG_AGO) == []

    def test_text_finds_values_and_not_names_of_parameters(self, storage: Storage) -> None:
        jobs_at(storage, 1, parameters=(Parameter(name="period", value="11"),))
        for text in ("period", "value", "{"):
            assert _ids(storage, text=text, owner="ann", after=LONG_AGO) == []


def _ids(storage: Storage, **query: Any) -> list[str]:  # noqa: ANN401  any field of a query
    return [summary.id for summary in storage.get_list(JobQuery(**query))]
