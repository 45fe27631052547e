"""Driven as the AIP's uws-client does it, by curl, and read by vo-models."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from vo_models.uws import Jobs, JobSummary

from servers import eventually
from services_missing import lacking
from uws.aip import UWS, AipClient
from uws.documents import AnyParameters, id_of


@pytest.fixture(params=["127.0.0.1", "localhost"])
def client(one, request) -> AipClient:
    """However the server was called: Location has to begin so."""
    return AipClient(f"http://{request.param}:{one.port}/rest/work")


@pytest.mark.uws("13.3", "14.6")
def test_the_aip_client_finds_its_way(client):
    job = client.new(text="a", runId="mine")
    assert client.get(job).findtext(f"{UWS}runId") == "mine"
    root = client.set(job, text="b")
    assert [one.text for one in root.iter(f"{UWS}parameter") if one.get("id") == "text"] == ["b"]
    root = client.set(job, executionDuration="77", destruction="2031-01-01T00:00:00")
    assert root.findtext(f"{UWS}executionDuration") == "77"
    client.set(job, PHASE="RUN")
    eventually(lambda: client.get(job, WAIT="5").findtext(f"{UWS}phase") == "COMPLETED")
    assert len(list(client.get(job).iter(f"{UWS}result"))) == 1
    left = client.delete(job)
    assert left.tag == f"{UWS}jobs"
    assert job not in [row.get("id") for row in left]


@pytest.mark.uws("13.3", "14.6")
def test_it_posts_abort_to_the_job(client):
    job = client.new(seconds="60", PHASE="RUN")
    eventually(lambda: client.get(job).findtext(f"{UWS}phase") == "EXECUTING")
    client.set(job, PHASE="ABORT")
    eventually(lambda: client.get(job).findtext(f"{UWS}phase") == "ABORTED")
    client.delete(job)


@pytest.mark.uws("13.3")
def test_it_trusts_filters_to_a_server_of_version_1_1(client):
    jobs = [client.new() for _ in range(3)]
    assert client.list(LAST="2") == [jobs[2], jobs[1]]
    client.set(jobs[0], PHASE="ABORT")
    assert client.list(PHASE="ABORTED", LAST="1") == [jobs[0]]


@pytest.mark.uws("13.2")
def test_vo_models_reads_and_writes_what_we_say(one):
    job = one.create("work", {"many": "a", "RUNID": "r", "code": "1"})
    one.wait(job)
    read = JobSummary[AnyParameters].from_xml(one.get(job).body)
    assert (read.job_id, read.run_id, read.phase) == (id_of(job), "r", "ERROR")
    assert read.version == "1.1"
    assert read.creation_time <= read.start_time <= read.end_time < read.destruction
    assert (read.owner_id, read.execution_duration) == (None, 600)
    assert read.error_summary.type == "fatal"
    assert {(one.id, one.value) for one in read.parameters.parameter} >= {("many", "a")}
    [row] = [
        row for row in Jobs.from_xml(one.get("/rest/work").body).jobref if row.job_id == read.job_id
    ]
    assert (row.phase, row.href, row.run_id) == ("ERROR", job, "r")
    assert row.creation_time == read.creation_time


# -- curl


@pytest.fixture
def curl(one, tmp_path):
    """Runs `curl ARGUMENTS` and answers what it wrote."""
    if shutil.which("curl") is None:
        lacking("curl is not here: install it")

    def curl(*arguments: str) -> str:
        command = ["curl", "-sS", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path
        )
        return done.stdout

    return curl


def test_curl_goes_the_whole_way(one, curl, tmp_path):
    (tmp_path / "t.csv").write_text("1,2\n3,4\n")
    job = curl(
        "-o", "/dev/null", "-w", "%{redirect_url}", "-F", "table=@t.csv", f"{one.url}/rest/work"
    )
    assert job.startswith(f"{one.url}/rest/work/")
    assert curl(f"{job}/phase") == "PENDING"
    assert curl("-o", "/dev/null", "-w", "%{http_code}", "-d", "PHASE=RUN", f"{job}/phase") == "303"
    curl(f"{job}?WAIT=30&PHASE=QUEUED")
    eventually(lambda: curl(f"{job}/phase") == "COMPLETED")
    assert curl(f"{job}/results/output") == "1,2\n3,4\n"
    curl("-O", "-J", f"{job}/results/output")
    assert (tmp_path / "output.txt").read_text() == "1,2\n3,4\n"
    assert curl("-X", "DELETE", "-w", "%{http_code}", job) == "303"
    assert "there is no job" in curl(job)


def test_curl_sends_a_body_of_unknown_length(one, curl, tmp_path):
    (tmp_path / "t.csv").write_text("1,2\n" * 10_000)
    job = curl(
        *("-o", "/dev/null", "-w", "%{redirect_url}", "-H", "Transfer-Encoding: chunked"),
        *("-F", "table=@t.csv", f"{one.url}/rest/work"),
    )
    assert curl(f"{job}/parameters/table") == "1,2\n" * 10_000


@pytest.mark.uws("14.6")
def test_curl_follows_to_the_job_after_each_post(one, curl):
    document = curl("-L", "-d", "text=a", f"{one.url}/rest/work")
    assert "<uws:phase>PENDING</uws:phase>" in document
    assert curl("-L", "-d", "text=b", f"{one.url}/rest/work/sync") == "b"
