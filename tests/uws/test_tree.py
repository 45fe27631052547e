"""The tree of a job and how its parts are represented: section 1 of docs/uws.md."""

from __future__ import annotations

import re

import pytest
from lxml import etree

from opus_core.routes import ROUTES
from servers import eventually
from uws import documents, schemas
from uws.documents import UWS, XLINK, XSI, id_of

ATOMS = ("phase", "executionduration", "destruction", "quote", "owner")
CONTAINERS = ("results", "parameters")
ORDER = (
    "jobId runId ownerId phase quote creationTime startTime endTime executionDuration destruction"
    " parameters results errorSummary jobInfo"
).split()


@pytest.fixture(scope="module")
def failed(one):
    """A job in ERROR, which has all that a job can have."""
    job = one.create("work", {"code": "3", "results": "2", "RUNID": "r", "many": "a & b <c>"})
    assert one.wait(job) == "ERROR"
    eventually(lambda: len(documents.results(one.get(f"{job}/results"))) == 2)
    return job


@pytest.fixture(scope="module")
def every_kind(one, failed):
    """Jobs in all phases that last."""
    pending = one.create("work", {"text": "ä\t<&>\n", "note": ""}, run=False)
    done = one.create("work", {"results": "2"})
    empty = one.create("work", {"results": "0"})
    running = one.create("work", {"seconds": "30"})
    aborted = one.create("work", run=False)
    one.post(f"{aborted}/phase", {"PHASE": "ABORT"})
    one.wait(running, {"EXECUTING"})
    for job in (done, empty, aborted):
        one.wait(job)
    yield [pending, done, empty, running, aborted, failed]
    one.request("DELETE", running)


@pytest.mark.uws("1.1", "1.3")
def test_every_part_is_at_its_name(one, failed):
    for part in ("", *(f"/{name}" for name in (*ATOMS, *CONTAINERS, "error"))):
        assert one.get(failed + part).status == 200, part


@pytest.mark.uws("1.1")
@pytest.mark.parametrize("part", ["PHASE", "Phase", "phase2", "executionDuration", "jobinfo"])
def test_the_names_are_in_lower_case_and_no_others(one, failed, part):
    assert one.get(f"{failed}/{part}").status == 404


@pytest.mark.uws("1.2", "4.8", "13.3")
def test_ids_are_plain_segments_that_begin_with_a_digit(one):
    ids = [id_of(one.create("work", run=False)) for _ in range(30)]
    assert len(set(ids)) == 30
    assert all(re.fullmatch(r"[0-9][0-9a-f]{31}", one) for one in ids)


@pytest.mark.uws("1.4")
def test_containers_are_xml_and_atoms_are_text(one, failed):
    for part in ("", "/results", "/parameters"):
        assert one.get(failed + part).headers["Content-Type"].startswith("application/xml")
    for part in ATOMS:
        assert one.get(f"{failed}/{part}").headers["Content-Type"].startswith("text/plain")
    assert one.get("/rest/work").headers["Content-Type"].startswith("application/xml")


@pytest.mark.uws("1.5", "1.6", "1.7", "1.8", "1.9", "1.13", "1.14", "5.1", "9.6", "9.8")
def test_documents_are_what_the_schema_says(one, every_kind):
    for job in every_kind:
        schemas.validate(documents.job(one.get(job)), "UWS.xsd")
        for part in CONTAINERS:
            schemas.validate(documents.parse(one.get(f"{job}/{part}")), "UWS.xsd")
    schemas.validate(documents.parse(one.get("/rest/work")), "UWS.xsd")
    schemas.validate(documents.parse(one.get("/rest/work?PHASE=HELD")), "UWS.xsd")


@pytest.mark.uws("1.5", "1.6", "1.8", "1.9", "1.11", "1.12")
def test_a_job_has_its_parts_in_order_also_where_no_schema_looks(one, every_kind):
    for job in every_kind:
        root = documents.job(one.get(job))
        names = [etree.QName(child).localname for child in root]
        assert names == [name for name in ORDER if name in names]
        assert root.get("version") == "1.1"
        needed = {"ownerId", "startTime", "endTime", "destruction", "creationTime", "results"}
        assert needed <= set(names)
        assert documents.text(root, "ownerId") is None  # nobody known
        for name in ("jobId", "runId", "phase", "creationTime", "executionDuration"):
            for child in root.findall(UWS + name):
                assert child.get(f"{XSI}nil") is None


@pytest.mark.uws("1.7", "1.11", "1.12", "3.2", "3.3")
def test_a_row_of_the_list_says_what_it_may(one, failed):
    answer = one.get("/rest/work")
    assert documents.parse(answer).get("version") == "1.1"
    rows = {row.get("id"): row for row in documents.jobs(answer)}
    row = rows[id_of(failed)]
    assert [etree.QName(child).localname for child in row] == ["phase", "runId", "creationTime"]
    assert row.get(f"{XLINK}href") == failed
    assert row.findtext(f"{UWS}runId") == "r"
    created = documents.text(documents.job(one.get(failed)), "creationTime")
    assert row.findtext(f"{UWS}creationTime") == created


@pytest.mark.uws("1.8")
def test_a_job_without_a_run_id_has_no_element_of_it(one):
    root = documents.job(one.get(one.create("work", run=False)))
    assert root.find(f"{UWS}runId") is None


@pytest.mark.uws("1.13", "9.3")
def test_a_result_says_size_and_type_truly(one, every_kind):
    found = documents.results(one.get(f"{every_kind[1]}/results"))
    assert set(found) == {"output", "second"}
    for result in found.values():
        known = {"id", "size", "mime-type", f"{XLINK}type", f"{XLINK}href"}
        assert set(result.attrib) == known
        file = one.get(result.get(f"{XLINK}href"))
        assert len(file.body) == int(result.get("size"))
        assert file.headers["Content-Type"].partition(";")[0] == result.get("mime-type")


@pytest.mark.uws("1.15")
def test_job_info_tells_how_far_it_is(one, every_kind):
    running = every_kind[3]

    def said():
        root = documents.job(one.get(running))
        return {entry.get("key"): entry.text for entry in root.findall(f"{UWS}jobInfo/*")}

    eventually(lambda: said().get("progress") == "50")
    assert said()["doing"] == "half of it"
    schemas.validate(documents.job(one.get(running)), "UWS.xsd")


@pytest.mark.uws("1.16")
@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "application/xml",
        "application/xml,text/plain",
        "text/xml",
        "text/html;q=0.5, application/xml",
        "application/xml, text/html",
        "text/html, */*",
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",  # Java's, asked by nobody
        "image/png",
    ],
)
def test_xml_is_what_a_client_gets_unless_it_prefers_another(one, failed, accept):
    headers = {} if accept is None else {"Accept": accept}
    for address in ("/rest/work", failed):
        kind = one.get(address, headers=headers).headers["Content-Type"]
        assert kind == "application/xml; charset=utf-8"


@pytest.mark.uws("1.16")
def test_a_browser_gets_a_page(one, failed):
    accept = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    for address in ("/rest/work", failed):
        assert one.get(address, headers=accept).headers["Content-Type"].startswith("text/html")


@pytest.mark.uws("1.17")
def test_what_does_not_exist_is_404(one, failed):
    unknown = f"{one.url}/rest/work/0123456789abcdef0123456789abcdef"
    other = one.url + "/rest/async/" + id_of(failed)
    for job in (unknown, f"{one.url}/rest/work/x", other):
        assert one.get(job).status == 404
        assert one.get(f"{job}/phase").status == 404
        assert one.get(f"{job}/results/output").status == 404
        assert one.post(f"{job}/phase", {"PHASE": "RUN"}).status == 404
        assert one.request("DELETE", job).status == 404
    assert one.get("/rest/unknown").status == 404
    assert one.post("/rest/unknown", {}).status == 404
    assert one.get(f"{failed}/results/nothing").status == 404
    assert one.get(f"{failed}/parameters/nothing").status == 404


@pytest.mark.uws("1.18", "5.6")
def test_what_the_state_does_not_allow_is_403(one, failed):
    before = one.get(failed).body
    assert one.post(f"{failed}/phase", {"PHASE": "RUN"}).status == 403
    assert one.post(f"{failed}/executionduration", {"EXECUTIONDURATION": "5"}).status == 403
    assert one.get(failed).body == before


@pytest.mark.uws("1.19")
def test_a_failure_of_the_service_is_500_and_that_of_a_job_is_not(one):
    job = one.create("work", {"code": "1"})
    assert one.wait(job) == "ERROR"
    assert one.get(job).status == 200
    done = one.create("work")
    one.wait(done)
    (one.job_folder(id_of(done)) / "results" / "output.txt").write_text("not what the job left")
    assert one.get(f"{done}/results/output").status == 500
    assert one.get(done).status == 200


@pytest.mark.uws("1.20", "3.11", "7.3")
def test_methods_are_those_that_make_sense(one, failed):
    wrong = {
        "/rest/work": ("DELETE", "PUT"),
        failed: ("PUT",),
        **{f"{failed}/{part}": ("DELETE", "PUT") for part in (*ATOMS, *CONTAINERS)},
        f"{failed}/quote": ("POST", "PUT", "DELETE"),
        f"{failed}/owner": ("POST", "PUT", "DELETE"),
        f"{failed}/error": ("POST", "PUT", "DELETE"),
        f"{failed}/results": ("POST", "PUT", "DELETE"),
        f"{failed}/results/output": ("POST", "PUT", "DELETE"),
        f"{failed}/parameters/text": ("DELETE", "POST"),
    }
    before = one.get(failed).body
    for address, methods in wrong.items():
        for method in methods:
            answer = one.request(method, address)
            assert answer.status == 405, (method, address)
            assert "GET" in answer.headers["Allow"]
            assert method not in answer.headers["Allow"]
    assert one.get(failed).body == before


@pytest.mark.uws("1.20")
def test_head_is_get_without_the_body(one, failed):
    for address in (failed, f"{failed}/phase", f"{failed}/results", "/rest/work?LAST=1"):
        head, get = one.request("HEAD", address), one.get(address)
        assert (head.status, head.body) == (200, b"")
        for name in ("Content-Type", "Content-Length"):
            assert head.headers[name] == get.headers[name], (address, name)


def test_the_description_of_the_service_names_every_address(one):
    """The WADL that we write describes the whole tree, not only the job's own inputs."""
    wadl = "{http://wadl.dev.java.net/2009/02}"
    names = {"job_id": "job-id", "parameter": "parameter-name", "result_id": "result-id"}

    def tree(resource: etree._Element, base: str) -> set[tuple[str, str]]:
        path = f"{base}/{resource.get('path')}"
        found = {(method.get("name"), path) for method in resource.findall(f"{wadl}method")}
        return found.union(*(tree(child, path) for child in resource.findall(f"{wadl}resource")))

    root = etree.fromstring(one.get("/jdl/work").body)
    [jobs] = root.findall(f"{wadl}resources/{wadl}resource")
    routes = {
        (method, re.sub(r"<(\w+)>", lambda found: f"{{{names[found[1]]}}}", path))
        for method, rule, _ in ROUTES
        if rule.startswith("/rest/<name>")
        for path in [rule.replace("/rest/<name>", "/work")]
    }
    assert tree(jobs, "") == routes
