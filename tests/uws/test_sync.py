"""A job whose answer is its result, in one request."""

from __future__ import annotations

import json
import threading
import time
from urllib.parse import urlencode

import pytest

from servers import eventually, site
from uws import documents
from uws.conftest import PREFIX
from uws.documents import id_of, ids
from uws.jobs import WORK, describe
from uws.slots import full
from uws.test_creation import multipart

SYNC = "/rest/work/sync"


def test_one_result_is_answered_as_it_is(one):
    answer = one.post(SYNC, {"text": "said"})
    assert answer.status == 200
    assert answer.body == b"said"
    assert answer.headers["Content-Type"].startswith("text/plain")
    kept = answer.headers["Content-Location"]
    assert kept.startswith(f"{one.url}/rest/work/")
    assert kept.endswith("/results/output")
    assert one.get(kept).body == b"said"


def test_values_come_in_the_query_of_a_get_as_well(one):
    answer = one.get(f"{SYNC}?text=said&phase=RUN")
    assert (answer.status, answer.body) == (200, b"said")


def test_files_come_as_they_do_with_any_job(one):
    answer = one.post(SYNC, **multipart(("table", "t.csv", b"1,2")))
    assert (answer.status, answer.body) == (200, b"1,2")


@pytest.mark.parametrize(("results", "names"), [("2", ["output", "second"]), ("0", [])])
def test_several_results_or_none_are_answered_as_a_list(one, results, names):
    answer = one.post(SYNC, {"results": results})
    assert list(documents.results(answer)) == names
    assert answer.headers["Content-Location"].endswith("/results")
    answer = one.post(f"{SYNC}?RESPONSEFORMAT=json", {"results": results})
    assert [row["id"] for row in json.loads(answer.body)["results"]] == names


def test_it_is_a_job_like_any_other(one, jobs):
    answer = one.post(f"{jobs}/sync", {"RUNID": "r"})
    [row] = documents.jobs(one.get(jobs))
    assert row.get("id") in answer.headers["Content-Location"]
    assert row.findtext(f"{documents.UWS}runId") == "r"


def test_a_job_that_fails_is_422_with_the_reason(one):
    answer = one.post(SYNC, {"code": "3"})
    assert answer.status == 422
    assert "exit code 3" in answer.text
    assert one.get(answer.headers["Content-Location"]).status == 200


def test_a_job_that_is_aborted_meanwhile_is_422(one, jobs):
    def abort():
        [job] = eventually(lambda: ids(one, f"{jobs}?PHASE=EXECUTING"))
        one.post(f"{jobs}/{job}/phase", {"PHASE": "ABORT"})

    other = threading.Thread(target=abort)
    other.start()
    answer = one.post(f"{jobs}/sync", {"seconds": "60"})
    other.join()
    assert answer.status == 422
    assert "ABORTED" in answer.text


def test_a_job_that_is_deleted_meanwhile_is_404(one, jobs):
    def delete():
        [job] = eventually(lambda: ids(one, f"{jobs}?PHASE=EXECUTING"))
        one.request("DELETE", f"{jobs}/{job}")

    other = threading.Thread(target=delete)
    other.start()
    assert one.post(f"{jobs}/sync", {"seconds": "60"}).status == 404
    other.join()


def test_what_is_malformed_makes_no_job(one, jobs):
    for fields in ({"number": "x"}, {"unheard": "of"}, {"PHASE": "ABORT"}, {"ACTION": "DELETE"}):
        assert one.post(f"{jobs}/sync", fields).status == 400
    assert one.get("/rest/nothing/sync").status == 404
    assert documents.jobs(one.get(jobs)) == []


def test_a_job_that_takes_longer_than_a_request_may_wait_goes_on(gate):
    """max_wait is two seconds there."""
    headers = {"X-Test-User": "ann"}
    begin = time.monotonic()
    answer = gate.post(f"{PREFIX}{SYNC}", {"seconds": "60"}, headers=headers)
    assert 1.9 < time.monotonic() - begin < 10
    assert answer.status == 303
    job = answer.location
    assert gate.get(f"{job}/phase", headers=headers).text in ("QUEUED", "EXECUTING")
    assert gate.request("DELETE", job, headers=headers).status == 303


def test_a_repeated_request_answers_the_first_job_s_result(one, jobs):
    key = {"Idempotency-Key": "once"}
    first = one.post(f"{jobs}/sync", {"text": "said"}, headers=dict(key))
    again = one.post(f"{jobs}/sync", {"text": "said"}, headers=dict(key))
    assert (again.status, again.body) == (200, b"said")
    assert again.headers["Content-Location"] == first.headers["Content-Location"]
    assert len(ids(one, jobs)) == 1


def test_a_repeated_request_leads_to_the_first_job_while_that_runs(one, jobs):
    key = {"Idempotency-Key": "still-running"}
    first = threading.Thread(
        target=one.post, args=(f"{jobs}/sync", {"seconds": "60"}), kwargs={"headers": dict(key)}
    )
    first.start()
    [job] = eventually(lambda: ids(one, f"{jobs}?PHASE=EXECUTING"))
    again = one.post(f"{jobs}/sync", {"seconds": "60"}, headers=dict(key))
    assert (again.status, again.location) == (303, f"{one.url}{jobs}/{job}")
    one.request("DELETE", again.location)
    first.join()


def test_without_a_slot_nothing_is_done(tmp_path):
    with full(tmp_path / "full") as one:
        before = ids(one, "/rest/work")
        refused = one.post(SYNC, {})
        assert refused.status == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert len(refused.text.splitlines()) == 1
        assert ids(one, "/rest/work") == before


def test_a_page_of_another_site_cannot_have_a_browser_run_a_job(one, jobs):
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert one.get(f"{jobs}/sync", headers=dict(headers)).status == 403
        assert one.post(f"{jobs}/sync", {}, headers=dict(headers)).status == 403
    assert ids(one, jobs) == []
    assert one.get(f"{jobs}/sync", headers={"Sec-Fetch-Site": "none"}).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_it_can_be_read_and_posted_to_and_nothing_else(one, jobs, method):
    answer = one.request(method, f"{jobs}/sync")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert one.get(f"{jobs}/sync/phase").status == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_conditions_and_ranges_are_for_get_alone(one, jobs, method):
    fields = {"text": "said"}
    first = one.post(f"{jobs}/sync", fields)

    def again(**headers):
        if method == "POST":
            return one.post(f"{jobs}/sync", fields, headers=headers)
        return one.get(f"{jobs}/sync?{urlencode(fields)}", headers=headers)

    known = again(**{"If-None-Match": first.headers["ETag"]})
    part, none = again(Range="bytes=0-1"), again(Range="bytes=99-")
    if method == "GET":
        assert [one.status for one in (known, part, none)] == [304, 206, 416]
        assert part.body == b"sa"
    else:
        assert {(one.status, one.body) for one in (known, part, none)} == {(200, b"said")}


def test_head_runs_nothing(one, jobs):
    answer = one.request("HEAD", f"{jobs}/sync")
    assert (answer.status, answer.body) == (200, b"")
    assert ids(one, jobs) == []
    assert one.request("HEAD", "/rest/nothing/sync").status == 404


def test_somebody_unknown_may_not_where_they_may_not_have_jobs(gate):
    assert gate.post(f"{PREFIX}{SYNC}", {}).status == 401
    assert gate.request("HEAD", f"{PREFIX}{SYNC}").status == 401


def test_a_server_that_stops_leads_its_clients_to_their_jobs(tmp_path):
    with site(tmp_path / "stops") as stops:
        describe(stops, WORK)
        process = stops.serve()
        answers = []
        waiting = threading.Thread(
            target=lambda: answers.append(stops.post(SYNC, {"seconds": "60"}))
        )
        waiting.start()
        [job] = eventually(lambda: ids(stops, "/rest/work?PHASE=EXECUTING"))
        process.terminate()
        waiting.join(20)
        [answer] = answers
        assert (answer.status, id_of(answer.location)) == (303, job)
        process.wait(20)
        stops.serve()  # to have the job stopped
        stops.request("DELETE", answer.location)
        eventually(lambda: not stops.job_folder(job).exists())
