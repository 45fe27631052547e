"""Phases, and who moves a job from one to the next: section 5 of docs/uws.md."""

from __future__ import annotations

import json
import re
import time

import pytest

from opus_core.job import Phase, Work
from servers import eventually
from uws import documents
from uws.conftest import PREFIX
from uws.documents import id_of, ids, instant, text
from uws.storage import change

ANN = {"X-Test-User": "ann"}


def newest(one) -> int:
    """The number of the last change there was."""
    return json.loads(one.get("/changes").body)["seq"]


def told(one, job: str, since: int) -> list[str]:
    """The phases that the journal tells of a job."""
    rows = json.loads(one.get(f"/changes?after={since}").body)["changes"]
    return [row["phase"] for row in rows if row["jobId"] == id_of(job)]


@pytest.mark.uws("5.1", "5.4")
def test_a_job_goes_through_the_phases_of_the_standard(one):
    since = newest(one)
    job = one.create("work", run=False)
    one.post(f"{job}/phase", {"PHASE": "RUN"})
    assert one.wait(job) == "COMPLETED"
    assert told(one, job, since) == ["PENDING", "QUEUED", "EXECUTING", "COMPLETED"]


@pytest.mark.uws("5.2")
def test_run_leads_back_to_the_job(one):
    job = one.create("work", run=False)
    answer = one.post(f"{job}/phase", {"PHASE": "RUN"})
    assert (answer.status, answer.location) == (303, job)
    assert one.phase(job) in ("QUEUED", "EXECUTING", "COMPLETED")


@pytest.mark.uws("5.3", "5.5", "9.4")
def test_abort_stops_what_runs_and_keeps_what_there_is(one):
    since = newest(one)
    job = one.create("work", {"seconds": "60", "text": "so far"})
    one.wait(job, {"EXECUTING"})
    eventually(lambda: "running" in one.get(f"{job}/stdout").text)
    begin = time.monotonic()
    answer = one.post(f"{job}/phase", {"PHASE": "ABORT"})
    assert (answer.status, answer.location) == (303, job)
    assert one.wait(job) == "ABORTED"
    assert time.monotonic() - begin < 15
    root = documents.job(one.get(job))
    assert instant(text(root, "endTime")) >= instant(text(root, "startTime"))
    eventually(lambda: one.get(f"{job}/results/output").status == 200)
    assert one.get(f"{job}/results/output").text == "so far"
    assert told(one, job, since)[-1] == "ABORTED"


@pytest.mark.uws("5.3", "13.4", "14.12")
def test_a_pending_job_that_is_aborted_has_an_end_and_no_start(one):
    job = one.create("work", run=False)
    answer = one.post(f"{job}/phase", {"PHASE": "ABORT"})
    assert (answer.status, answer.location) == (303, job)
    root = documents.job(one.get(job))
    assert text(root, "phase") == "ABORTED"
    assert instant(text(root, "endTime")) >= instant(text(root, "creationTime"))
    assert text(root, "startTime") is None


@pytest.mark.uws("5.3")
@pytest.mark.parametrize(
    ("phase", "work"), [("QUEUED", "WANTED"), ("HELD", "LIVE"), ("SUSPENDED", "LIVE")]
)
def test_abort_is_legal_in_every_phase_before_the_end(still, phase, work):
    job = still.create("work", run=phase == "QUEUED")
    if phase != "QUEUED":
        change(still, job, phase=Phase(phase), work=Work(work), tag="t", native_ids=("1",))
    assert still.post(f"{job}/phase", {"PHASE": "ABORT"}).status == 303
    if work == "WANTED":
        assert still.phase(job) == "ABORTED"
        root = documents.job(still.get(job))
        assert text(root, "startTime") is None


@pytest.mark.uws("5.5", "5.6", "14.3")
@pytest.mark.parametrize("fields", [{}, {"code": "1"}])
def test_an_end_is_final(one, fields):
    job = one.create("work", fields)
    end = one.wait(job)
    eventually(lambda: one.get(f"{job}/results/output").status == 200)
    before = one.get(job).body
    assert one.post(f"{job}/phase", {"PHASE": "RUN"}).status == 403
    assert one.post(f"{job}/phase", {"PHASE": "ABORT"}).status == 303
    assert one.phase(job) == end
    assert one.get(job).body == before


@pytest.mark.uws("5.7", "14.3")
def test_abort_of_an_aborted_job_changes_nothing(one):
    job = one.create("work", run=False)
    one.post(f"{job}/phase", {"PHASE": "ABORT"})
    before = one.get(job).body
    answer = one.post(f"{job}/phase", {"PHASE": "ABORT"})
    assert (answer.status, answer.location) == (303, job)
    assert one.get(job).body == before


@pytest.mark.uws("5.6")
@pytest.mark.parametrize("phase", ["QUEUED", "EXECUTING", "SUSPENDED", "UNKNOWN", "ARCHIVED"])
def test_run_is_for_pending_jobs(still, phase):
    job = still.create("work", run=False)
    change(still, job, phase=Phase(phase))
    assert still.post(f"{job}/phase", {"PHASE": "RUN"}).status == 403
    assert still.phase(job) == phase


@pytest.mark.uws("5.8")
@pytest.mark.parametrize("fields", [{}, {"PHASE": ""}, {"PHASE": "PENDING"}, {"phas": "RUN"}])
def test_an_unknown_or_missing_phase_is_400(one, fields):
    job = one.create("work", run=False)
    assert one.post(f"{job}/phase", fields).status == 400
    assert one.phase(job) == "PENDING"


@pytest.mark.uws("5.11", "14.11")
def test_while_queued_there_are_no_results_and_no_start(still):
    job = still.create("work")
    root = documents.job(still.get(job))
    assert text(root, "phase") == "QUEUED"
    assert text(root, "startTime") is None
    assert documents.results(still.get(f"{job}/results")) == {}


@pytest.mark.uws("14.11")
def test_the_start_is_that_of_the_script(one):
    """Four jobs run at once here, so the fifth waits."""
    before = [one.create("work", {"seconds": "2"}) for _ in range(4)]
    for other in before:
        one.wait(other, {"EXECUTING"})
    job = one.create("work")
    assert one.phase(job) == "QUEUED"
    assert text(documents.job(one.get(job)), "startTime") is None
    one.wait(job)
    root = documents.job(one.get(job))
    ends = [text(documents.job(one.get(other)), "endTime") for other in before]
    first = min(instant(end) for end in ends if end is not None)
    assert instant(text(root, "startTime")) >= first


@pytest.mark.uws("5.12", "6.7", "14.5")
def test_where_jobs_are_archived_their_record_outlives_their_destruction(gate):
    job = gate.post(
        f"{PREFIX}/rest/work", {"PHASE": "RUN", "RUNID": "kept"}, headers=dict(ANN)
    ).location

    def got(path=""):
        return gate.get(f"{job}{path}", headers=dict(ANN))

    eventually(lambda: got("/phase").text == "COMPLETED")
    assert (
        gate.post(f"{job}/destruction", {"DESTRUCTION": "2001-01-01"}, headers=dict(ANN)).status
        == 303
    )
    eventually(lambda: got("/phase").text == "ARCHIVED", 60)
    root = documents.job(got())
    assert text(root, "runId") == "kept"
    assert text(root, "destruction") is None
    assert instant(text(root, "endTime")) >= instant(text(root, "startTime"))
    assert ("text", "hello") in documents.parameters(root)
    assert documents.results(got("/results")) == {}
    assert got("/results/output").status == 404
    listed = gate.get(f"{PREFIX}/rest/work", headers=dict(ANN))
    assert id_of(job) not in [row.get("id") for row in documents.jobs(listed)]
    again = gate.post(f"{job}/destruction", {"DESTRUCTION": "2031-01-01"}, headers=dict(ANN))
    assert again.status == 403
    assert gate.request("DELETE", job, headers=dict(ANN)).status == 303
    assert got().status == 404


@pytest.mark.uws("5.12", "6.7")
def test_a_running_job_that_is_archived_is_stopped_first(gate):
    fields = {"PHASE": "RUN", "seconds": "60"}
    job = gate.post(f"{PREFIX}/rest/work", fields, headers=dict(ANN)).location
    phase = lambda: gate.get(f"{job}/phase", headers=dict(ANN)).text  # noqa: E731
    eventually(lambda: phase() == "EXECUTING")
    gate.post(f"{job}/destruction", {"DESTRUCTION": "2001-01-01"}, headers=dict(ANN))
    eventually(lambda: phase() == "ARCHIVED", 60)
    gate.request("DELETE", job, headers=dict(ANN))


@pytest.mark.uws("5.13")
def test_a_job_whose_phase_is_unknown_can_be_asked_for(still):
    job = still.create("work", run=False)
    change(still, job, phase=Phase.UNKNOWN)
    assert still.phase(job) == "UNKNOWN"
    assert text(documents.job(still.get(job)), "phase") == "UNKNOWN"
    assert id_of(job) in ids(still, "/rest/work?PHASE=UNKNOWN")


@pytest.mark.uws("5.9")
def test_run_of_a_held_job_is_refused_where_the_cluster_cannot_release_it(still):
    job = still.create("work", run=False)
    change(still, job, phase=Phase.HELD, work=Work.LIVE, tag="t", native_ids=("1",))
    answer = still.post(f"{job}/phase", {"PHASE": "RUN"})
    assert answer.status == 403
    assert re.search("HELD", answer.text)
    assert still.phase(job) == "HELD"
