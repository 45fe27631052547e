"""Every question that is asked often is answered from an index, and holds no connection."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from sqlalchemy import event

from opus_core.backends import JobQuery, Limits, Sort
from opus_core.job import Phase
from opus_core.testing.samples import LONG_AGO, a_job, a_running_job, jobs_at
from opus_storage_sqlite import lists
from opus_storage_sqlite.statements import Prepared

PHASES = {
    "but archived": frozenset(),
    "one": frozenset({Phase.EXECUTING}),
    "several": frozenset({Phase.EXECUTING, Phase.COMPLETED, Phase.HELD}),
}
FILTERS = {
    "all": {},
    "definition": {"definition": "periodogram"},
    "owner": {"owner": "ann"},
    "anonymous": {"owner": None},
    "both": {"definition": "periodogram", "owner": "ann"},
}
ORDERS = {
    "first": {},
    "reverse": {"reverse": True},
    "last": {"last": 20},
    "range": {"after": LONG_AGO, "before": LONG_AGO + timedelta(days=1)},
    "phase": {"sort": Sort.PHASE},
}


@pytest.fixture
def plans(storage, monkeypatch):
    """Runs a call, and answers how SQLite found the rows of each statement."""
    asked = []
    given = Prepared.positional

    def values(statement, values):
        asked.append((statement.text(), tuple(given(statement, values))))
        return asked[-1][1]

    monkeypatch.setattr(Prepared, "positional", values)
    engines = storage._database._open()

    def remember(connection, cursor, statement, parameters, context, many):
        if not many:
            asked.append((statement, parameters))

    for engine in (engines.read, engines.write):
        event.listen(engine, "before_cursor_execute", remember)

    def plans(call):
        asked.clear()
        call()
        found = []
        with storage._database.reading() as connection:
            for statement, parameters in list(asked):
                if statement.lstrip().startswith(("SELECT", "WITH", "UPDATE", "DELETE")):
                    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                    found += [row.detail for row in rows]
        assert found, "nothing was asked"
        return found

    return plans


def _slow(plan):
    return [step for step in plan if "TEMP B-TREE" in step or step in ("SCAN jobs", "SCAN journal")]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("phases", PHASES)
def test_no_list_scans_or_sorts(storage, plans, order, filters, phases):
    query = JobQuery(phases=PHASES[phases], **FILTERS[filters], **ORDERS[order])
    plan = plans(lambda: list(storage.get_list(query)))
    assert _slow(plan) == []
    wanted = {"all": "phase=?", "definition": "definition=? AND phase=?"}.get(filters, "owner=?")
    assert any(wanted in step for step in plan)


@pytest.mark.parametrize("filters", ["all", "definition"])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_list_by_end_reads_the_index_of_ends(storage, plans, filters, reverse):
    query = JobQuery(sort=Sort.ENDED, reverse=reverse, **FILTERS[filters])
    plan = plans(lambda: list(storage.get_list(query)))
    assert _slow(plan) == []
    assert all("ix_jobs_ended" in step for step in plan)


@pytest.mark.parametrize("sort", Sort)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_next_page_begins_where_the_last_one_ended(storage, plans, sort, reverse):
    query = JobQuery(sort=sort, reverse=reverse, after=LONG_AGO, before=LONG_AGO.replace(year=2030))
    shown = a_job(created=LONG_AGO + timedelta(days=1), ended=LONG_AGO + timedelta(days=2))
    behind = JobQuery(
        sort=sort,
        reverse=reverse,
        after=query.after,
        before=query.before,
        cursor=query.cursor_at(shown.summary()),
    )
    plan = plans(lambda: list(storage.get_list(behind)))
    key = "(ended,created,id)" if sort is Sort.ENDED else "(created,id)"
    place = key + ("<(" if reverse else ">(")
    found = [step for step in plan if "SEARCH" in step]
    going_on = found if sort is Sort.CREATED else found[:1]
    assert all(place in step for step in going_on), plan
    assert _slow(plan) == []


def test_what_is_asked_all_the_time_uses_an_index(storage, plans):
    job = storage.add(a_running_job(native_ids=("7",)))
    for call, index in (
        (lambda: storage.save(job, expected=job.version), "(id=?)"),
        (lambda: storage.summary(job.id), "(id=?)"),
        (lambda: storage.read(job.id), "(id=?)"),
        (lambda: storage.changes(0, owner="ann"), "ix_journal_owner_seq"),
        (lambda: storage.changes(0), "INTEGER PRIMARY KEY (rowid>?)"),
        (lambda: storage.poke("event", native_id="7"), "ix_natives_native_id"),
        (lambda: storage.todo(10), "ix_jobs_due"),
        (lambda: list(storage.live()), "ix_jobs_live"),
        (lambda: storage.expired(10), "ix_jobs_destruction"),
        (lambda: storage.records("audit"), "ix_records_stream_seq"),
        (
            lambda: storage.add(a_job(), limits=Limits(active=9, per_hour=9, bytes=9)),
            "ix_journal_quota_key_time",
        ),
    ):
        plan = plans(call)
        assert any(index in step for step in plan), plan
        assert [step for step in plan if step in ("SCAN jobs", "SCAN journal")] == []


def test_a_paused_list_holds_no_connection(storage, monkeypatch):
    monkeypatch.setattr(lists, "PAGE", 2)
    wanted = [job.id for job in jobs_at(storage, *range(5))]
    seen = []
    for summary in storage.get_list(JobQuery()):
        assert storage._database.checked_out() == 0
        seen.append(summary.id)
    assert seen == wanted


def test_a_paused_walk_over_live_jobs_holds_no_connection(storage):
    storage.add(a_running_job(native_ids=("1", "2")))
    walk = storage.live()
    next(walk)
    assert storage._database.checked_out() == 0
    with storage._database.reading():
        assert storage._database.checked_out() == 1


@pytest.mark.parametrize("sort", Sort)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("page", [1, 2, 3, 7])
def test_a_list_is_the_same_whatever_the_page(storage, monkeypatch, sort, reverse, page):
    phases = itertools.cycle((Phase.COMPLETED, Phase.ERROR, Phase.EXECUTING))
    for minute in (3, 1, 2, 1, 0, 5, 1):
        phase = next(phases)
        over = phase is not Phase.EXECUTING
        jobs_at(storage, minute, phase=phase, ended=LONG_AGO if over else None)
    query = JobQuery(sort=sort, reverse=reverse, owner="ann")
    whole = list(storage.get_list(query))
    assert len(whole) == 7
    monkeypatch.setattr(lists, "PAGE", page)
    assert list(storage.get_list(query)) == whole


def test_parameters_are_looked_through_page_by_page(storage, monkeypatch):
    monkeypatch.setattr(lists, "_WHOLE_PAGE", 2)
    made = [
        jobs_at(storage, minute, run_id="Comet" if minute % 2 else None)[0] for minute in range(7)
    ]
    query = JobQuery(owner="ann", before=LONG_AGO + timedelta(days=1), text="comet", limit=2)
    assert [one.id for one in storage.get_list(query)] == [made[1].id, made[3].id]


def test_a_job_that_moves_on_while_it_is_listed_is_listed_once(storage, monkeypatch):
    monkeypatch.setattr(lists, "PAGE", 1)
    moving, other = jobs_at(storage, 0, 1, phase=Phase.ABORTED)
    reading = storage.get_list(JobQuery(sort=Sort.PHASE))
    assert next(reading).id == moving.id
    storage.save(a_job(id=moving.id, phase=Phase.ERROR), expected=1)
    assert [one.id for one in reading] == [other.id]
