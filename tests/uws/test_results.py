"""Results and errors: section 9 of docs/uws.md."""

from __future__ import annotations

import pytest

from uws import documents, schemas
from uws.documents import UWS, XLINK, text


@pytest.fixture(scope="module")
def done(one):
    job = one.create("work", {"results": "2", "text": "said"})
    assert one.wait(job) == "COMPLETED"
    return job


@pytest.fixture(scope="module")
def failed(one):
    job = one.create("work", {"code": "3"})
    assert one.wait(job) == "ERROR"
    return job


@pytest.mark.uws("9.1", "9.2")
def test_results_are_listed_and_their_links_lead_to_them(one, done):
    found = documents.results(one.get(f"{done}/results"))
    assert set(found) == {"output", "second"}
    contents = {name: one.get(row.get(f"{XLINK}href")).body for name, row in found.items()}
    assert contents == {"output": b"said", "second": b"\x01\x02"}
    assert found["output"].get(f"{XLINK}href") == f"{done}/results/output"
    listed = documents.job(one.get(done)).iterfind(f"{UWS}results/{UWS}result")
    assert [row.attrib for row in listed] == [row.attrib for row in found.values()]


@pytest.mark.uws("9.4")
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_results_cannot_be_changed(one, done, method):
    for address in (f"{done}/results", f"{done}/results/output"):
        assert one.request(method, address, body=b"x").status == 405
    assert one.get(f"{done}/results/output").body == b"said"


@pytest.mark.uws("9.5", "9.6", "5.1")
def test_a_failing_job_says_so_and_why(one, failed):
    root = documents.job(one.get(failed))
    assert text(root, "phase") == "ERROR"
    summary = root.find(f"{UWS}errorSummary")
    assert dict(summary.attrib) == {"type": "fatal", "hasDetail": "true"}
    assert [child.tag for child in summary] == [f"{UWS}message"]
    assert "exit code 3" in summary.findtext(f"{UWS}message")
    schemas.validate(root, "UWS.xsd")


@pytest.mark.uws("9.7")
def test_the_error_has_more_to_say(one, failed, done):
    answer = one.get(f"{failed}/error")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    message = documents.job(one.get(failed)).findtext(f"{UWS}errorSummary/{UWS}message")
    assert answer.text.startswith(message)
    assert "complaint" in answer.text  # what it wrote to stderr
    assert one.get(f"{done}/error").status == 404
    assert one.get(f"{one.create('work', run=False)}/error").status == 404


@pytest.mark.uws("9.8")
def test_a_job_without_error_has_no_summary_of_one(one, done):
    assert documents.job(one.get(done)).find(f"{UWS}errorSummary") is None
    aborted = one.create("work", run=False)
    one.post(f"{aborted}/phase", {"PHASE": "ABORT"})
    assert documents.job(one.get(aborted)).find(f"{UWS}errorSummary") is None
