"""New jobs: section 4 of docs/uws.md, and requests that are repeated."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from uws import documents
from uws.documents import id_of, ids, instant, parameters, text

BOUNDARY = "boundary-of-these-tests"


def multipart(*parts: tuple[str, str | None, bytes], kind: str = "") -> dict[str, object]:
    """Body and headers of a request whose parts are (name, file name, content); of those without
    a file name `kind` is the Content-Type, if they shall have one."""
    body = b""
    unnamed = f"\r\nContent-Type: {kind}" if kind else ""
    for name, file, content in parts:
        named = f'; filename="{file}"' if file is not None else ""
        kind = "\r\nContent-Type: text/csv" if file is not None else unnamed
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}{kind}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    body += f"--{BOUNDARY}--\r\n".encode()
    return {
        "body": body,
        "headers": {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
    }


@pytest.mark.uws("4.1", "4.3", "4.8", "5.4")
def test_a_post_makes_a_pending_job_and_leads_to_it(one):
    answer = one.post("/rest/work", {"text": "a"})
    assert answer.status == 303
    assert re.fullmatch(rf"{one.url}/rest/work/[0-9a-f]{{32}}", answer.location)
    root = documents.job(one.get(answer.location))
    assert text(root, "phase") == "PENDING"
    assert text(root, "jobId") == id_of(answer.location)
    assert text(root, "startTime") is None
    assert text(root, "endTime") is None
    assert one.post("/rest/work", {"text": "a"}).location != answer.location


@pytest.mark.uws("4.2", "14.2")
@pytest.mark.parametrize(
    "fields",
    [
        {"number": "ten"},
        {"number": "10"},
        {"colour": "blue"},
        {"unheard": "of"},
        {"EXECUTIONDURATION": "long"},
        {"DESTRUCTION": "soon"},
        {"PHASE": "ABORT"},
        {"PHASE": "WALK"},
        {"ACTION": "DELETE"},
        {"table": "no file"},
    ],
)
def test_what_is_malformed_is_400_and_makes_no_job(one, jobs, fields):
    answer = one.post(jobs, fields)
    assert answer.status == 400
    assert len(answer.text.splitlines()) == 1
    assert documents.jobs(one.get(jobs)) == []


@pytest.mark.uws("4.4")
def test_the_service_sets_the_first_limits(one):
    root = documents.job(one.get(one.create("work", run=False)))
    assert text(root, "executionDuration") == "600"  # as the description says
    other = documents.job(one.get(one.create("async", run=False)))
    assert text(other, "executionDuration") == "3600"  # as the configuration says
    kept = instant(text(root, "destruction")) - instant(text(root, "creationTime"))
    assert kept == timedelta(days=30)


@pytest.mark.uws("4.5", "4.6")
def test_fields_come_in_a_form_a_multipart_body_and_the_query(one):
    by_form = one.post("/rest/work", {"text": "ä", "number": "3"})
    by_parts = one.post(
        "/rest/work", **multipart(("text", None, "ä".encode()), ("number", None, b"3"))
    )
    by_query = one.post("/rest/work?text=%C3%A4&number=3", {})
    for answer in (by_form, by_parts, by_query):
        assert answer.status == 303, answer.text
        found = parameters(documents.job(one.get(answer.location)))
        assert {("text", "ä"), ("number", "3")} <= set(found)


@pytest.mark.uws("4.6")
@pytest.mark.parametrize("where", ["body", "query"])
def test_controls_may_come_with_the_first_request(one, where):
    later = (datetime.now(UTC) + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%S")
    if where == "body":
        sent = {"PHASE": "RUN", "RUNID": "r", "EXECUTIONDURATION": "77", "DESTRUCTION": later}
        answer = one.post("/rest/work", sent)
    else:
        query = f"PHASE=RUN&RUNID=r&EXECUTIONDURATION=77&DESTRUCTION={later}"
        answer = one.post(f"/rest/work?{query}", {})
    assert one.wait(answer.location) == "COMPLETED"
    root = documents.job(one.get(answer.location))
    assert text(root, "runId") == "r"
    assert text(root, "executionDuration") == "77"
    assert text(root, "destruction") == f"{later}.000Z"


@pytest.mark.uws("4.7", "14.7")
@pytest.mark.parametrize("name", ["RUNID", "runId", "runid"])
@pytest.mark.parametrize("run_id", ["plain", "  a  b ", "ä<&>\"'\t\n\r.", "x" * 64])
def test_a_run_id_comes_back_as_it_was_sent(one, name, run_id):
    first, second = (one.create("work", {name: run_id}, run=False) for _ in range(2))
    assert first != second
    for job in (first, second):
        assert text(documents.job(one.get(job)), "runId") == run_id
    # RUNID can be searched for, so the list shows it just so.
    rows = {row.get("id"): row for row in documents.jobs(one.get("/rest/work"))}
    assert rows[id_of(first)].findtext(f"{documents.UWS}runId") == run_id


@pytest.mark.uws("4.7")
def test_a_run_id_sent_twice_or_without_end_is_400(one):
    assert one.post("/rest/work?RUNID=a", {"RUNID": "b"}).status == 400
    assert one.post("/rest/work", {"RUNID": "x" * 257}).status == 400


@pytest.mark.uws("4.10")
def test_names_are_not_case_sensitive_and_values_are(one):
    job = one.create("work", {"TEXT": "Big", "Number": "3", "Phase": "RUN"}, run=False)
    assert one.wait(job) == "COMPLETED"
    found = parameters(documents.job(one.get(job)))
    assert {("text", "Big"), ("number", "3")} <= set(found)
    assert one.post("/rest/work", {"colour": "RED"}).status == 400
    assert one.post("/rest/work", {"PHASE": "run"}).status == 400


@pytest.mark.uws("4.11")
def test_values_of_one_name_are_kept_in_order_or_refused(one):
    fields = [("many", "b"), ("text", "t"), ("many", "a"), ("MANY", "b")]
    job = one.post("/rest/work", fields).location
    found = parameters(documents.job(one.get(job)))
    assert [value for name, value in found if name == "many"] == ["b", "a", "b"]
    answer = one.post("/rest/work", [("text", "a"), ("text", "b")])
    assert answer.status == 400
    assert "text" in answer.text


# -- requests that are repeated


def test_a_repeated_request_leads_to_the_first_job(one, jobs):
    key = {"Idempotency-Key": "night-1"}
    first = one.post(jobs, {"text": "a"}, headers=dict(key))
    again = one.post(jobs, {"text": "a"}, headers=dict(key))
    assert (first.status, again.status) == (303, 303)
    assert again.location == first.location
    encoded = one.post(
        jobs, body=multipart(("text", None, b"a"))["body"],
        headers={**key, **multipart()["headers"]},
    )  # fmt: skip
    assert encoded.location == first.location, "it is the content that counts"
    assert ids(one, jobs) == [id_of(first.location)]


def test_other_content_under_the_key_is_409(one, jobs):
    key = {"Idempotency-Key": "night-2"}
    first = one.post(jobs, {"text": "a"}, headers=dict(key))
    assert one.post(jobs, {"text": "b"}, headers=dict(key)).status == 409
    assert one.post(jobs, {"text": "a", "PHASE": "RUN"}, headers=dict(key)).status == 409
    assert ids(one, jobs) == [id_of(first.location)]
    assert one.phase(first.location) == "PENDING"


def test_a_refused_request_does_not_use_up_its_key(one, jobs):
    key = {"Idempotency-Key": "night-3"}
    assert one.post(jobs, {"number": "x"}, headers=dict(key)).status == 400
    assert one.post(jobs, {"number": "3"}, headers=dict(key)).status == 303


def test_the_key_of_one_user_is_nothing_to_another(gate):
    def made(user):
        headers = {"Idempotency-Key": "mine", "X-Test-User": user}
        return gate.post("/opus/uws/rest/work", {"text": "a"}, headers=headers).location

    assert made("ann") == made("ann") != made("bob")


@pytest.mark.parametrize("key", ["a b", "x" * 256, "\x7f"])
def test_a_key_that_is_none_is_400(one, jobs, key):
    assert one.post(jobs, {}, headers={"Idempotency-Key": key}).status == 400


def test_a_repeated_upload_is_kept_once(one, jobs):
    request = multipart(("table", "t.csv", b"1,2\n"))
    request["headers"]["Idempotency-Key"] = "night-4"
    first = one.post(jobs, **request)
    again = one.post(jobs, **request)
    assert first.location == again.location
    assert one.get(f"{first.location}/parameters/table").body == b"1,2\n"
