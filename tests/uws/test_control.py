"""Execution duration, destruction, quote and deletion: sections 6 and 7 of docs/uws.md."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from servers import eventually
from uws import documents, schemas
from uws.conftest import PREFIX
from uws.documents import id_of, ids, instant, text
from uws.jobs import WORK, describe
from uws.storage import change

ANN = {"X-Test-User": "ann"}


@pytest.fixture
def job(one):
    return one.create("work", run=False)


@pytest.mark.uws("6.1", "6.2")
def test_the_execution_duration_is_set_in_whole_seconds(one, job):
    answer = one.post(f"{job}/executionduration", {"EXECUTIONDURATION": "77"})
    assert (answer.status, answer.location) == (303, job)
    assert one.get(f"{job}/executionduration").text == "77"
    assert text(documents.job(one.get(job)), "executionDuration") == "77"
    one.post(f"{job}/executionduration", {"executionDuration": "0"})
    assert one.get(f"{job}/executionduration").text == "0"


@pytest.mark.uws("6.2", "14.9")
@pytest.mark.parametrize("wish", ["0", "601", "99999999999"])
def test_a_site_may_grant_less_and_shows_what_it_granted(gate, wish):
    headers = dict(ANN)
    job = gate.post(f"{PREFIX}/rest/work", {}, headers=headers).location
    answer = gate.post(f"{job}/executionduration", {"EXECUTIONDURATION": wish}, headers=headers)
    assert (answer.status, answer.location) == (303, job)
    assert gate.get(f"{job}/executionduration", headers=headers).text == "600"
    at_once = gate.post(f"{PREFIX}/rest/work", {"EXECUTIONDURATION": wish}, headers=headers)
    root = documents.job(gate.get(at_once.location, headers=headers))
    assert text(root, "executionDuration") == "600"


@pytest.mark.uws("6.3", "5.3")
def test_a_job_that_takes_too_long_is_aborted_and_keeps_what_it_has(one):
    job = one.create("work", {"seconds": "60", "EXECUTIONDURATION": "1", "text": "so far"})
    assert one.wait(job) == "ABORTED"
    root = documents.job(one.get(job))
    took = instant(text(root, "endTime")) - instant(text(root, "startTime"))
    assert timedelta(seconds=0.5) < took < timedelta(seconds=15)
    eventually(lambda: one.get(f"{job}/results/output").status == 200)
    assert one.get(f"{job}/results/output").text == "so far"


@pytest.mark.uws("1.10", "6.4", "14.2")
@pytest.mark.parametrize("wish", ["-1", "", "ten", "1.5", None, "0x10"])
def test_an_execution_duration_that_is_none_is_400(one, job, wish):
    fields = {} if wish is None else {"EXECUTIONDURATION": wish}
    assert one.post(f"{job}/executionduration", fields).status == 400
    assert one.get(f"{job}/executionduration").text == "600"


@pytest.mark.uws("1.10", "6.4")
@pytest.mark.parametrize("wish", ["2147483647", "2147483648", "9" * 30])
def test_no_execution_duration_is_more_than_the_document_can_show(one, job, wish):
    assert one.post(f"{job}/executionduration", {"EXECUTIONDURATION": wish}).status == 303
    assert one.get(f"{job}/executionduration").text == "2147483647"


@pytest.mark.uws("6.5", "6.6")
def test_a_destruction_time_is_set_and_shown(one, job):
    later = (datetime.now(UTC) + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = one.post(f"{job}/destruction", {"DESTRUCTION": later})
    assert (answer.status, answer.location) == (303, job)
    assert instant(one.get(f"{job}/destruction").text) == datetime.fromisoformat(later)


@pytest.mark.uws("6.5", "1.8")
def test_a_job_that_is_never_destroyed_says_nothing_and_nil(still):
    job = still.create("work", run=False)
    change(still, job, destruction=None)
    answer = still.get(f"{job}/destruction")
    assert (answer.status, answer.body) == (200, b"")
    root = documents.job(still.get(job))
    assert text(root, "destruction") is None
    schemas.validate(root, "UWS.xsd")


@pytest.mark.uws("6.6")
def test_a_site_may_keep_jobs_for_less_than_asked_for(gate):
    headers = dict(ANN)
    job = gate.post(f"{PREFIX}/rest/work", {}, headers=headers).location
    gate.post(f"{job}/destruction", {"DESTRUCTION": "2999-01-01"}, headers=headers)
    granted = instant(gate.get(f"{job}/destruction", headers=headers).text)
    wanted = datetime.now(UTC) + timedelta(days=10)
    assert abs(granted - wanted) < timedelta(minutes=1)


@pytest.mark.uws("6.7")
@pytest.mark.parametrize("fields", [{}, {"PHASE": "RUN"}, {"PHASE": "RUN", "seconds": "60"}])
def test_at_its_destruction_time_a_job_is_gone_with_all_it_had(one, fields):
    job = one.create("work", fields, run=False)
    if "seconds" in fields:
        one.wait(job, {"EXECUTING"})
    elif fields:
        one.wait(job)
    soon = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S")
    assert one.post(f"{job}/destruction", {"DESTRUCTION": soon}).status == 303
    eventually(lambda: one.get(job).status == 404)
    assert one.get(f"{job}/results/output").status == 404
    assert id_of(job) not in ids(one, "/rest/work?LAST=50")
    eventually(lambda: not one.job_folder(id_of(job)).exists())


@pytest.mark.uws("6.8", "14.2")
@pytest.mark.parametrize("wish", ["", "tomorrow", "2031-02-30", "2031-12-24T25:00:00", "99", None])
def test_a_destruction_time_that_is_none_is_400(one, job, wish):
    before = one.get(f"{job}/destruction").text
    fields = {} if wish is None else {"DESTRUCTION": wish}
    assert one.post(f"{job}/destruction", fields).status == 400
    assert one.get(f"{job}/destruction").text == before


@pytest.mark.uws("6.9", "14.8")
def test_the_quote_is_an_instant_counted_from_creation_then_from_the_start(one, job):
    root = documents.job(one.get(job))
    created = instant(text(root, "creationTime"))
    assert instant(text(root, "quote")) - created == timedelta(hours=1)
    assert one.get(f"{job}/quote").text == text(root, "quote")
    one.post(f"{job}/phase", {"PHASE": "RUN"})
    one.wait(job)
    root = documents.job(one.get(job))
    assert instant(text(root, "quote")) - instant(text(root, "startTime")) == timedelta(hours=1)


@pytest.mark.uws("6.9", "14.8")
def test_a_quote_that_nobody_knows_is_empty_and_nil(one):
    describe(one, replace(WORK, quote=None), name="unquoted")
    job = one.create("unquoted", run=False)
    answer = one.get(f"{job}/quote")
    assert (answer.status, answer.body) == (200, b"")
    assert text(documents.job(one.get(job)), "quote") is None


@pytest.mark.uws("6.10")
def test_clients_cannot_write_what_is_the_service_s(one, job):
    before = one.get(job).body
    for name in ("quote", "owner", "results", "error"):
        assert one.post(f"{job}/{name}", {name.upper(): "x"}).status == 405
        assert one.post(job, {name.upper(): "x"}).status == 400
    assert one.get(job).body == before


# -- deletion


@pytest.mark.uws("7.1", "7.4")
def test_delete_leads_to_the_list_and_leaves_nothing(one, job):
    answer = one.request("DELETE", job)
    assert answer.status == 303
    assert answer.location.partition("?")[0] == f"{one.url}/rest/work"
    for part in ("", "/phase", "/parameters", "/results", "/results/output", "/error"):
        assert one.get(job + part).status == 404
    assert id_of(job) not in ids(one, "/rest/work?LAST=50")
    assert one.request("DELETE", job).status == 404
    eventually(lambda: not one.job_folder(id_of(job)).exists())


@pytest.mark.uws("7.2", "7.4")
def test_action_delete_does_the_same(one, job):
    answer = one.post(job, {"ACTION": "DELETE"})
    assert answer.status == 303
    assert answer.location == one.request("DELETE", one.create("work", run=False)).location
    assert one.get(job).status == 404
    other = one.create("work", run=False)
    assert one.post(other, {"ACTION": "EAT"}).status == 400
    assert one.phase(other) == "PENDING"


@pytest.mark.uws("7.5")
def test_a_running_job_is_stopped_and_does_not_come_back(one):
    job = one.create("work", {"seconds": "60"})
    one.wait(job, {"EXECUTING"})
    folder = one.job_folder(id_of(job))
    assert one.request("DELETE", job).status == 303
    assert one.get(job).status == 404
    eventually(lambda: not folder.exists())
    assert one.get(job).status == 404
    assert id_of(job) not in ids(one, "/rest/work?LAST=50")
