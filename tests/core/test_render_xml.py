from __future__ import annotations

import json as standard_json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from core.wsgi import UWS, XLINK, XSI
from opus_core.job import ErrorSummary, Parameter, Phase, Result, Upload
from opus_core.render import json, text, xml
from opus_core.render.urls import Urls
from opus_core.testing.samples import a_job

URLS = Urls("https://opus.test/x")
THEN = datetime(2026, 11, 23, 22, 46, 18, 123_000, tzinfo=UTC)
ORDER = (
    "jobId runId ownerId phase quote creationTime startTime endTime executionDuration destruction"
    " parameters results errorSummary jobInfo"
).split()  # UWS 1.1 appendix B
FULL = a_job(
    run_id="run 1",
    phase=Phase.ERROR,
    created=THEN,
    started=THEN,
    ended=THEN + timedelta(seconds=5),
    destruction=THEN + timedelta(days=30),
    quote=THEN + timedelta(minutes=1),
    execution_duration=2**31 - 1,
    parameters=(Parameter(name="a", value="1"), Parameter(name="a", value="2")),
    results=(
        Result(id="plot", name="p.svg", size=12, media_type="image/svg+xml", sha256="0" * 64),
    ),
    error=ErrorSummary(message="it <failed>", has_detail=True),
    job_info={"progress": "50"},
)
anything = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


def tree(job):
    return etree.fromstring(xml.job(job, URLS))


def test_children_stand_in_the_order_of_the_schema():
    assert [child.tag.removeprefix(UWS) for child in tree(FULL)] == ORDER


def test_a_parameter_of_very_many_values_is_numbered_in_a_moment():
    many = tuple(Parameter(name="".join(["ma", "ny"]), value="1") for _ in range(20_000))
    begin = time.process_time()
    numbers = [number for _, number in xml.numbered(a_job(parameters=many))]
    assert numbers == list(range(1, 20_001))
    assert time.process_time() - begin < 2


def test_the_version_is_told():
    assert tree(FULL).get("version") == "1.1"
    assert etree.fromstring(b"".join(xml.jobs([], URLS))).get("version") == "1.1"


def test_what_is_not_known_is_nil_and_empty():
    bare = tree(a_job(owner=None))
    for name in ("ownerId", "quote", "startTime", "endTime", "destruction"):
        child = bare.find(UWS + name)
        assert child.get(XSI + "nil") == "true"
        assert child.text is None
    assert bare.find(UWS + "runId") is None
    assert bare.find(UWS + "errorSummary") is None
    assert bare.find(UWS + "jobInfo") is None
    assert len(bare.find(UWS + "results")) == 0


def test_instants_are_in_utc_with_milliseconds_and_a_z():
    assert tree(FULL).findtext(UWS + "creationTime") == "2026-11-23T22:46:18.123Z"
    east = THEN.astimezone(timezone(timedelta(hours=2)))
    assert text.instant(east) == "2026-11-23T22:46:18.123Z"
    assert text.instant(datetime(12, 1, 1, tzinfo=UTC)) == "0012-01-01T00:00:00.000Z"


def test_a_result_tells_its_address_size_and_type():
    (result,) = tree(FULL).iter(UWS + "result")
    assert dict(result.attrib) == {
        "id": "plot",
        XLINK + "type": "simple",
        XLINK + "href": f"https://opus.test/x/rest/periodogram/{FULL.id}/results/plot",
        "size": "12",
        "mime-type": "image/svg+xml",
    }


def test_several_values_are_as_many_elements_in_order():
    values = [(one.get("id"), one.text) for one in tree(FULL).iter(UWS + "parameter")]
    assert values == [("a", "1"), ("a", "2")]


def test_a_file_is_given_by_reference():
    upload = Upload(sha256="0" * 64, size=3, name="x.csv")
    job = a_job(parameters=(Parameter(name="table", upload=upload),))
    (entry,) = tree(job).iter(UWS + "parameter")
    assert entry.get("byReference") == "true"
    assert entry.text == f"https://opus.test/x/rest/periodogram/{job.id}/parameters/table"


def test_a_value_that_xml_cannot_hold_is_given_by_reference():
    parameters = (Parameter(name="a", value="ok"), Parameter(name="a", value="bell \x07"))
    entries = list(tree(a_job(parameters=parameters)).iter(UWS + "parameter"))
    assert entries[0].text == "ok"
    assert entries[1].get("byReference") == "true"
    assert entries[1].text.endswith("/parameters/a?VALUE=2")


@pytest.mark.parametrize("odd", ["\ufffe", "\uffff", "\x07"])
def test_a_url_that_xml_cannot_hold_is_given_by_reference_to_ours(odd):
    upload = Upload(sha256="", size=0, name="t.csv")
    given = Parameter(name="table", value=f"http://example.org/{odd}", upload=upload)
    job = a_job(parameters=(given,))
    (entry,) = tree(job).iter(UWS + "parameter")
    assert entry.get("byReference") == "true"
    assert entry.text == f"https://opus.test/x/rest/periodogram/{job.id}/parameters/table"


@given(value=anything)
@settings(max_examples=300)
def test_every_value_comes_back_byte_for_byte_or_by_reference(value):
    (entry,) = tree(a_job(parameters=(Parameter(name="v", value=value),))).iter(UWS + "parameter")
    if entry.get("byReference") != "true":
        assert (entry.text or "") == value


@given(run_id=anything, owner=anything.filter(bool))
@settings(max_examples=300)
def test_a_row_of_the_list_is_what_lxml_would_have_written(run_id, owner):
    job = a_job(run_id=run_id, owner=owner)
    whole = tree(job)
    (row,) = etree.fromstring(b"".join(xml.jobs([job.summary()], URLS)))
    assert [child.tag.removeprefix(UWS) for child in row] == [
        "phase",
        "runId",
        "ownerId",
        "creationTime",
    ]
    for child in row:
        assert (child.text or "") == (whole.findtext(child.tag) or "")
    assert row.get("id") == job.id
    assert row.get(XLINK + "href") == URLS.job("periodogram", job.id)


@given(message=anything, key=anything.filter(bool), said=anything)
def test_no_word_of_a_job_or_scheduler_can_break_the_document(message, key, said):
    job = replace(FULL, error=ErrorSummary(message=message), job_info={key: said})
    tree(job)
    standard_json.loads(json.job(job, URLS))


def test_the_list_is_written_while_it_is_read():
    def rows():
        yield a_job().summary()
        pytest.fail("the list was read to its end before its first byte was written")

    assert next(iter(xml.jobs(rows(), URLS))).startswith(b"<?xml")
    assert next(iter(json.jobs(rows(), URLS))).startswith(b"{")


@pytest.mark.parametrize("count", [0, 1, 100, 101, 250])
def test_every_row_is_listed_once_in_both_formats(count):
    rows = [a_job().summary() for _ in range(count)]
    ids = [row.id for row in rows]
    assert [one.get("id") for one in etree.fromstring(b"".join(xml.jobs(rows, URLS)))] == ids
    listed = standard_json.loads(b"".join(json.jobs(rows, URLS)))["jobs"]
    assert [one["jobId"] for one in listed] == ids


def test_json_says_what_xml_says():
    said, root = standard_json.loads(json.job(FULL, URLS)), tree(FULL)
    for name in ("jobId", "runId", "ownerId", "phase", "quote", "creationTime", "startTime"):
        assert said[name] == root.findtext(UWS + name)
    assert said["executionDuration"] == int(root.findtext(UWS + "executionDuration"))
    assert [(one["id"], one["value"]) for one in said["parameters"]] == [("a", "1"), ("a", "2")]
    assert said["results"][0]["size"] == 12
    assert said["errorSummary"] == {"type": "fatal", "hasDetail": True, "message": "it <failed>"}
    assert said["jobInfo"] == {"progress": "50"}


def test_addresses_are_percent_encoded():
    assert URLS.result("a", "b", "ä/?#").endswith("/results/%C3%A4%2F%3F%23")
