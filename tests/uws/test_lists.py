"""The list of jobs and its filters: section 3 of docs/uws.md."""

from __future__ import annotations

from datetime import timedelta

import pytest

from opus_core.job import Phase
from uws import documents, schemas
from uws.documents import UWS, XLINK, id_of, ids, instant
from uws.storage import change

PENDING, ABORTED = "PENDING", "ABORTED"


@pytest.fixture
def five(one, jobs):
    """Five jobs, oldest first, the second and the fourth aborted."""
    name = jobs.rpartition("/")[2]
    made = [one.create(name, run=False) for _ in range(5)]
    for job in (made[1], made[3]):
        one.post(f"{job}/phase", {"PHASE": "ABORT"})
    return [id_of(job) for job in made]


def created(one, jobs) -> dict[str, str]:
    rows = documents.jobs(one.get(jobs))
    return {row.get("id"): row.findtext(f"{UWS}creationTime") for row in rows}


@pytest.mark.uws("3.1")
def test_a_list_may_be_empty(one, jobs):
    assert documents.jobs(one.get(jobs)) == []


@pytest.mark.uws("3.1")
def test_all_jobs_are_listed_however_many(one, jobs):
    name = jobs.rpartition("/")[2]
    made = {id_of(one.create(name, run=False)) for _ in range(120)}
    assert set(ids(one, jobs)) == made
    schemas.validate(documents.parse(one.get(jobs)), "UWS.xsd")


@pytest.mark.uws("3.2")
def test_each_row_leads_to_its_job(one, jobs, five):
    for row in documents.jobs(one.get(jobs)):
        root = documents.job(one.get(row.get(f"{XLINK}href")))
        assert documents.text(root, "jobId") == row.get("id")


@pytest.mark.uws("3.4", "3.5")
def test_phases_are_a_union(one, jobs, five):
    assert set(ids(one, f"{jobs}?PHASE=ABORTED")) == {five[1], five[3]}
    assert set(ids(one, f"{jobs}?PHASE=ABORTED&PHASE=PENDING")) == set(five)
    assert ids(one, f"{jobs}?PHASE=COMPLETED&PHASE=HELD") == []
    assert set(ids(one, f"{jobs}?phase=ABORTED")) == {five[1], five[3]}


@pytest.mark.uws("3.6")
def test_archived_jobs_are_shown_to_those_who_ask_for_them(still):
    present, past = still.create("work", run=False), still.create("work", run=False)
    still.post(f"{past}/phase", {"PHASE": "ABORT"})
    change(still, past, phase=Phase.ARCHIVED)
    everything = ids(still, "/rest/work")
    assert id_of(present) in everything
    assert id_of(past) not in everything
    archived = ids(still, "/rest/work?PHASE=ARCHIVED")
    assert id_of(past) in archived
    assert id_of(present) not in archived
    both = ids(still, "/rest/work?PHASE=ARCHIVED&PHASE=PENDING")
    assert {id_of(present), id_of(past)} <= set(both)
    for query in ("LAST=1000", "AFTER=2001-01-01", "PHASE=ABORTED"):
        assert id_of(past) not in ids(still, f"/rest/work?{query}")
    still.request("DELETE", past)


@pytest.mark.uws("3.7", "3.13")
def test_after_means_strictly_later_than_the_time_that_is_shown(one, jobs, five):
    times = created(one, jobs)
    for job, time in times.items():
        later = {other for other, its in times.items() if instant(its) > instant(time)}
        assert set(ids(one, f"{jobs}?AFTER={time}")) == later
        assert job not in ids(one, f"{jobs}?AFTER={time}")
        before = instant(time) - timedelta(milliseconds=1)
        assert job in ids(one, f"{jobs}?AFTER={before.isoformat().replace('+00:00', 'Z')}")


@pytest.mark.uws("3.8")
def test_last_is_the_newest_first(one, jobs, five):
    newest = sorted(five, key=lambda job: created(one, jobs)[job], reverse=True)
    assert ids(one, f"{jobs}?LAST=2") == newest[:2]
    assert ids(one, f"{jobs}?LAST=5") == ids(one, f"{jobs}?LAST=99999999999") == newest


@pytest.mark.uws("3.9", "14.1")
def test_filters_are_combined_and_last_cuts_what_they_leave(one, jobs, five):
    times = created(one, jobs)
    assert ids(one, f"{jobs}?PHASE=ABORTED&LAST=1") == [five[3]]
    assert ids(one, f"{jobs}?PHASE=PENDING&LAST=2") == [five[4], five[2]]
    assert ids(one, f"{jobs}?PHASE=ABORTED&AFTER={times[five[1]]}") == [five[3]]
    assert ids(one, f"{jobs}?PHASE=PENDING&AFTER={times[five[1]]}&LAST=1") == [five[4]]


@pytest.mark.uws("3.10", "13.4", "14.2")
@pytest.mark.parametrize(
    "query",
    [
        "PHASE=RUNNING",
        "PHASE=pending",
        "PHASE=",
        "LAST=0",
        "LAST=-1",
        "LAST=ten",
        "LAST=1.5",
        "LAST=",
        "AFTER=yesterday",
        "AFTER=2015-13-01",
        "AFTER=",
        "LAST=1&LAST=2",
        "AFTER=2015&AFTER=2016",
    ],
)
def test_a_filter_that_makes_no_sense_is_400(one, query):
    answer = one.get(f"/rest/work?{query}")
    assert answer.status == 400
    assert query.partition("=")[0].lower() in answer.text.lower()


@pytest.mark.uws("13.4")
@pytest.mark.parametrize("after", ["2015", "20151026", "2015-10-26+09:00", "2015-10-26%2009:00"])
def test_after_takes_what_the_validator_sends(one, jobs, five, after):
    assert set(ids(one, f"{jobs}?AFTER={after}")) == set(five)


@pytest.mark.uws("3.11")
def test_a_list_is_neither_deleted_nor_emptied(one, jobs, five):
    assert one.request("DELETE", jobs).status == 405
    assert one.post(jobs, {"ACTION": "DELETE"}).status == 400
    assert set(ids(one, jobs)) == set(five)
    one.request("DELETE", f"{jobs}/{five[0]}")
    assert set(ids(one, jobs)) == set(five[1:])


@pytest.mark.uws("3.12")
def test_the_way_back_from_a_deletion_leads_to_a_list_that_is_not_too_long(one, jobs, five):
    answer = one.request("DELETE", f"{jobs}/{five[0]}")
    assert answer.location == f"{one.url}{jobs}?LAST=100"
    assert set(ids(one, answer.location)) == set(five[1:])
