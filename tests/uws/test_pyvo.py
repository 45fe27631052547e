"""Driven by pyvo, which takes a job list called `async` for that of a TAP service."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
import pyvo
from astropy.time import Time
from pyvo.dal.exceptions import DALQueryError, DALServiceError
from pyvo.dal.tap import AsyncTAPJob, TAPService
from pyvo.io import vosi

from uws.documents import id_of

QUERY = "SELECT 'ä' FROM t WHERE a < 3 -- \"&\""
TABLE = b"""<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE>\
<TABLE><FIELD name="a" datatype="int"/><DATA><TABLEDATA><TR><TD>1</TD></TR></TABLEDATA></DATA>\
</TABLE></RESOURCE></VOTABLE>"""

pytestmark = pytest.mark.uws("13.1")


@pytest.fixture
def base(one) -> str:
    return f"{one.url}/rest"


@pytest.fixture
def job(base):
    made = AsyncTAPJob.create(base, QUERY)
    yield made
    if made.url is not None:
        made.delete()


def test_a_job_is_made_run_waited_for_and_read(one, job):
    assert job.phase == "PENDING"
    assert job.uws_version == "1.1"
    assert one.get(job.url).status == 200
    job.run()
    job.wait(timeout=60)
    assert job.phase == "COMPLETED"
    job.raise_if_error()
    assert [row["size"] for row in job.fetch_result()] == [7]
    assert job.result_uris == [f"{job.url}/results/result"]


def test_what_it_tells_of_a_job(one, job):
    assert job.job_id == id_of(job.url)
    assert job.query == QUERY
    assert job.owner is None
    now = Time(datetime.now(UTC))
    assert abs(job.quote - now).to_value("s") < 70
    assert 29 < (job.destruction - now).to_value("jd") < 31
    assert job.execution_duration.to_value("s") == 3600
    assert job.results == []


def test_a_job_with_a_long_query_is_read_and_run(one, base):
    query = QUERY + " " * 100_000
    with AsyncTAPJob.create(base, query) as made:
        assert made.phase == "PENDING"
        # It takes an address for the text itself, which is there.
        assert one.get(made.query).text == query
        made.run().wait(timeout=60)
        made.raise_if_error()
        assert [row["size"] for row in made.fetch_result()] == [7]


def test_what_it_changes_of_a_job(job):
    job.execution_duration = 77
    assert job.execution_duration.to_value("s") == 77
    later = datetime.now(UTC) + timedelta(days=2, microseconds=123456)
    job.destruction = later
    assert abs((job.destruction - Time(later)).to_value("s")) < 0.001
    job.query = "SELECT 2"
    assert job.query == "SELECT 2"


def test_an_upload_at_creation_and_one_to_a_pending_job(base, job):
    made = AsyncTAPJob.create(base, QUERY, uploads={"catalogue": io.BytesIO(TABLE)})
    made.run().wait(timeout=60)
    assert [row["size"] for row in made.fetch_result()] == [len(TABLE)]
    made.delete()
    job.upload(catalogue=io.BytesIO(TABLE))
    job.run().wait(timeout=60)
    assert [row["size"] for row in job.fetch_result()] == [len(TABLE)]


def test_maxrec_and_what_else_dali_sends_is_passed_over(base):
    with AsyncTAPJob.create(base, QUERY, maxrec=5, language="ADQL-2.1") as made:
        assert made.phase == "PENDING"


def test_an_abort_is_seen(base):
    job = AsyncTAPJob.create(base, QUERY, seconds="60")
    job.run()
    job.wait(phases={"EXECUTING"}, timeout=60)
    job.abort()
    with pytest.raises(DALServiceError, match="not active"):
        job.wait(phases={"COMPLETED"}, timeout=60)  # ABORTED is no phase it waits in
    assert job.phase == "ABORTED"
    job.delete()


def test_a_failure_comes_with_its_reason(base):
    job = AsyncTAPJob.create(base, QUERY, code="3")
    job.run().wait(timeout=60)
    assert job.phase == "ERROR"
    with pytest.raises(DALQueryError, match="exit code 3"):
        job.raise_if_error()
    job.delete()


def test_a_deleted_job_is_gone(one, base):
    job = AsyncTAPJob.create(base, QUERY)
    url = job.url
    job.delete()
    assert one.get(url).status == 404


def test_a_refusal_comes_with_its_reason(base):
    with pytest.raises(DALServiceError, match="has no parameter"):
        AsyncTAPJob.create(base, QUERY, unheard="of")


@pytest.mark.uws("3.4", "3.7", "3.8")
def test_the_list_and_its_filters(base):
    service = TAPService(base)
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    jobs = [AsyncTAPJob.create(base, QUERY) for _ in range(3)]
    jobs[1].abort()
    ids = [job.job_id for job in jobs]
    listed = service.get_job_list(after=before)
    assert {one.jobid for one in listed} == set(ids)
    assert [one.jobid for one in service.get_job_list(last=2)] == [ids[2], ids[1]]
    assert [one.jobid for one in service.get_job_list(phases=["ABORTED"], last=1)] == [ids[1]]
    for job in jobs:
        job.delete()


@pytest.mark.uws("11.1", "11.2", "11.3")
def test_its_readers_of_vosi_read_ours(one):
    found = vosi.parse_capabilities(io.BytesIO(one.get("/capabilities").body))
    lists = [
        capability.interfaces[0].accessurls[0].content
        for capability in found
        if capability.standardid == "ivo://ivoa.net/std/UWS#rest-1.1"
    ]
    assert f"{one.url}/rest/async" in lists
    said = vosi.parse_availability(io.BytesIO(one.get("/availability").body))
    assert said.available is True


def test_this_is_a_pyvo_that_knows_uws_1_1():
    assert int(pyvo.__version__.split(".")[1]) >= 5 or int(pyvo.__version__.split(".")[0]) > 1
