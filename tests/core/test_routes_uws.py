from __future__ import annotations

import threading
import time

import pytest

from core import wsgi
from core.wsgi import UWS
from opus_core.errors import OpusError, UnknownDefinition
from opus_core.job import ErrorSummary, Mark, Phase, Work

CHILDREN = ["phase", "executionduration", "destruction", "quote", "owner", "parameters", "results"]
GONE = f"/rest/fit/{7:032x}"


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


@pytest.fixture
def client(site):
    return site.client()


def phase(client, job):
    return client.get(f"{job}/phase").text


def test_a_job_and_each_of_its_children_answer_200(client):
    job = client.create()
    for child in CHILDREN:
        assert client.get(f"{job}/{child}").status == 200
    assert client.get(job).xml.tag == UWS + "job"
    assert client.get(f"{job}/parameters").xml.tag == UWS + "parameters"
    assert client.get(f"{job}/results").xml.tag == UWS + "results"


def test_atoms_are_plain_text(client):
    job = client.create(EXECUTIONDURATION="60")
    assert phase(client, job) == "PENDING"
    assert client.get(f"{job}/executionduration").text == "60"
    assert client.get(f"{job}/quote").text == ""
    assert client.get(f"{job}/owner").text == ""
    assert client.get(f"{job}/phase").headers["content-type"] == "text/plain; charset=utf-8"
    destruction = client.get(f"{job}/destruction").text
    assert destruction.endswith("Z")
    assert destruction == client.get(job).xml.findtext(UWS + "destruction")


def test_the_owner_is_who_made_it(site):
    ann = site.client(REMOTE_USER="ann")
    assert ann.get(f"{ann.create()}/owner").text == "ann"


@pytest.mark.parametrize("child", ["", "/phase", "/results", "/results/curve", "/stdout", "/error"])
@pytest.mark.parametrize("job", [GONE, "/rest/fit/nonsense", "/rest/echo/../fit", "/rest/nope/x"])
def test_what_does_not_exist_is_404(client, job, child):
    assert client.get(job + child).status == 404


def test_a_job_is_not_found_under_another_description(client):
    job = client.create()
    assert client.get(job.replace("/fit/", "/echo/")).status == 404


def test_head_answers_as_get_without_a_body(client):
    job = client.create()
    for address in (job, "/rest/fit", f"{job}/phase", "/", "/static/opus.css"):
        whole, head = client.get(address), client("HEAD", address)
        assert head.status == 200
        assert head.body == b""
        assert head.headers["content-type"] == whole.headers["content-type"]


@pytest.mark.parametrize(
    ("method", "child", "allow"),
    [
        ("PUT", "", "DELETE, GET, HEAD, POST"),
        ("DELETE", "/results", "GET, HEAD"),
        ("DELETE", "/phase", "GET, HEAD, POST"),
        ("POST", "/quote", "GET, HEAD"),
        ("POST", "/owner", "GET, HEAD"),
        ("POST", "/results/curve", "GET, HEAD"),
        ("PATCH", "/parameters/order", "GET, HEAD, PUT"),
    ],
)
def test_a_wrong_method_is_405_and_told_the_right_ones(client, method, child, allow):
    answer = client(method, client.create() + child)
    assert answer.status == 405
    assert answer.headers["allow"] == allow


def test_the_list_cannot_be_deleted(client):
    job = client.create()
    assert client("DELETE", "/rest/fit").status == 405
    assert client.get(job).status == 200


def test_slashes_too_many_do_no_harm(client):
    job = client.create()
    assert client.get("//rest///fit/").xml.tag == UWS + "jobs"
    assert client.get(f"{job}//phase/").text == "PENDING"


# -- phase


def test_run_and_abort_answer_303_to_the_job(client):
    job = client.create()
    for wish, reached in (("RUN", "QUEUED"), ("ABORT", "ABORTED")):
        answer = client.post(f"{job}/phase", form={"PHASE": wish})
        assert (answer.status, answer.location) == (303, f"http://opus.test{job}")
        assert phase(client, job) == reached


def test_run_twice_is_403_and_changes_nothing(client):
    job = client.create(PHASE="RUN")
    assert client.post(f"{job}/phase", form={"PHASE": "RUN"}).status == 403
    assert phase(client, job) == "QUEUED"


@pytest.mark.parametrize("form", [{}, {"PHASE": "run"}, {"PHASE": ""}, {"phases": "RUN"}])
def test_a_bad_phase_is_400(client, form):
    assert client.post(f"{client.create()}/phase", form=form).status == 400


def test_the_client_of_aip_posts_everything_to_the_job(client):
    job = client.create()
    for form in (
        {"order": "5"},
        {"executionDuration": "77"},
        {"destruction": "2026-12-01T00:00:00"},
        {"PHASE": "RUN"},
        {"PHASE": "ABORT"},
    ):
        assert client.post(job, form=form).status == 303
    said = client.get(job, accept="application/json").json
    assert said["parameters"][0]["value"] == "5"
    assert said["executionDuration"] == 77
    assert said["destruction"] == "2026-12-01T00:00:00.000Z"
    assert said["phase"] == "ABORTED"


def test_one_request_can_set_all_and_run(client):
    job = client.create()
    form = {"PHASE": "RUN", "order": "7", "EXECUTIONDURATION": "9"}
    assert client.post(job, form=form).status == 303
    said = client.get(job, accept="application/json").json
    assert (said["phase"], said["executionDuration"]) == ("QUEUED", 9)
    assert said["parameters"][0]["value"] == "7"


def test_a_request_that_says_nothing_is_400(client):
    job = client.create()
    assert client.post(job).status == 400
    assert client.post(f"{job}/parameters").status == 400


def test_a_run_id_stays(client):
    job = client.create(RUNID="one")
    assert client.post(job, form={"RUNID": "two"}).status == 403
    assert client.post(job, form={"RUNID": "one", "order": "2"}).status == 303


# -- execution duration and destruction


@pytest.mark.parametrize("wish", ["-1", "", "x", "1.5"])
def test_a_bad_execution_duration_is_400(client, wish):
    answer = client.post(f"{client.create()}/executionduration", form={"EXECUTIONDURATION": wish})
    assert answer.status == 400


@pytest.mark.parametrize("wish", ["", "soon", "2026-13-01"])
def test_a_bad_destruction_is_400(client, wish):
    answer = client.post(f"{client.create()}/destruction", form={"DESTRUCTION": wish})
    assert answer.status == 400


@pytest.mark.parametrize("child", ["executionduration", "destruction"])
def test_a_value_that_is_absent_is_400(client, child):
    answer = client.post(f"{client.create()}/{child}", form={})
    assert answer.status == 400
    assert child.upper() in answer.text


# -- deletion


@pytest.mark.parametrize("by_form", [True, False])
def test_a_deleted_job_is_gone_and_the_answer_leads_to_a_short_list(client, by_form):
    job = client.create()
    answer = client.post(job, form={"ACTION": "DELETE"}) if by_form else client("DELETE", job)
    assert (answer.status, answer.location) == (303, "http://opus.test/rest/fit?LAST=100")
    for child in ("", "/phase", "/results"):
        assert client.get(job + child).status == 404
    assert len(client.get("/rest/fit").xml) == 0
    assert client("DELETE", job).status == 404


# -- parameters


@pytest.mark.parametrize(
    ("method", "child", "form", "mark"),
    [
        ("POST", "/phase", {"PHASE": "ABORT"}, Mark.ABORT_REQUESTED),
        ("POST", "", {"ACTION": "DELETE"}, Mark.DOOMED),
        ("DELETE", "", None, Mark.DOOMED),
    ],
)
@pytest.mark.parametrize("error", [UnknownDefinition("gone"), OpusError("damaged")])
def test_a_job_can_be_stopped_and_removed_whatever_became_of_its_description(
    site, client, monkeypatch, error, method, child, form, mark
):
    job = client.create("/rest/echo", text="hi")
    site.run(job)

    def read(ref):
        raise error

    monkeypatch.setattr(site.parts.catalogue, "read", read)
    assert client(method, job + child, form=form).status == 303
    assert mark in site.storage.read(job.rpartition("/")[2], doomed=True).marks
    assert client.post(f"{job}/parameters", form={"text": "ho"}).status in (404, 500)


def test_parameters_change_while_pending_and_not_later(client):
    job = client.create()
    answer = client.post(f"{job}/parameters", form={"ORDER": "4"})
    assert (answer.status, answer.location) == (303, f"http://opus.test{job}")
    assert client.get(f"{job}/parameters/order").text == "4"
    client.post(f"{job}/phase", form={"PHASE": "RUN"})
    assert client.post(f"{job}/parameters", form={"order": "5"}).status == 403
    assert client("PUT", f"{job}/parameters/order", b"5").status == 403
    assert client.get(f"{job}/parameters/order").text == "4"


def test_a_value_can_be_put(client):
    job = client.create()
    answer = client("PUT", f"{job}/parameters/note", "grüße\n".encode(), content_type="text/plain")
    assert answer.status == 303
    assert client.get(f"{job}/parameters/note").text == "grüße\n"


def test_a_file_can_be_put(client):
    job = client.create()
    answer = client("PUT", f"{job}/parameters/table", b"1,2\n", content_type="text/csv")
    assert answer.status == 303
    got = client.get(f"{job}/parameters/table")
    assert (got.body, got.headers["content-type"]) == (b"1,2\n", "text/csv; charset=utf-8")


def test_a_file_for_a_job_that_runs_is_refused_before_it_is_stored(site, client):
    job = client.create(PHASE="RUN")
    assert client("PUT", f"{job}/parameters/table", b"1,2\n").status == 403
    assert not site.parts.folders.path(job.rpartition("/")[2]).exists()


@pytest.mark.parametrize(("name", "body", "status"), [("nope", b"1", 404), ("order", b"\xff", 400)])
def test_what_cannot_be_put_is_refused(client, name, body, status):
    assert client("PUT", f"{client.create()}/parameters/{name}", body).status == status


# -- waiting


def test_wait_ends_when_the_phase_changes(site, client):
    job = client.create(PHASE="RUN")
    timer = threading.Timer(0.3, site.run, [job])
    timer.start()
    began = time.monotonic()
    answer = client.get(f"{job}?WAIT=5")
    timer.join()
    assert answer.xml.findtext(UWS + "phase") == "EXECUTING"
    assert time.monotonic() - began < 3


def test_wait_for_a_phase_the_job_has_left_returns_at_once(client):
    job = client.create(PHASE="RUN")
    began = time.monotonic()
    assert client.get(f"{job}?WAIT=5&PHASE=PENDING").status == 200
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("query", ["WAIT=", "WAIT=x", "WAIT=-2", "WAIT=1&PHASE=NOPE"])
def test_a_bad_wait_is_400(client, query):
    assert client.get(f"{client.create()}?{query}").status == 400


# -- errors of jobs


def test_a_failed_job_is_still_answered_with_200_and_says_why(site, client):
    job = client.create(PHASE="RUN")
    site.write(job, "stderr", b"row 17 is no number\n")
    error = ErrorSummary(message="exit code 1", has_detail=True)
    site.change(job, phase=Phase.EXECUTING, work=Work.LIVE)
    site.change(job, phase=Phase.ERROR, work=Work.RELEASED, error=error)
    assert client.get(job).status == 200
    answer = client.get(f"{job}/error")
    assert answer.status == 200
    assert answer.text.startswith("exit code 1\n")
    assert "row 17 is no number" in answer.text


def test_a_job_without_error_has_none(client):
    assert client.get(f"{client.create()}/error").status == 404
