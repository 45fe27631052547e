"""What the server says of itself, and who may see what: section 11 of docs/uws.md."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

import pytest

from servers import eventually
from uws import documents, schemas
from uws.conftest import PREFIX
from uws.documents import XSI, id_of, text
from uws.jobs import WORK, describe

CAPABILITIES = "http://www.ivoa.net/xml/VOSICapabilities/v1.0"
AVAILABILITY = "{http://www.ivoa.net/xml/VOSIAvailability/v1.0}"
UWS_ID = "ivo://ivoa.net/std/UWS#rest-1.1"
LIST = f"{PREFIX}/rest/work"


def said(one, address="/capabilities") -> dict[str, list[str]]:
    """The addresses of each standard that the server says it holds."""
    found: dict[str, list[str]] = {}
    for capability in documents.parse(one.get(address)):
        url = capability.findtext("interface/accessURL")
        found.setdefault(capability.get("standardID", ""), []).append(url)
    return found


@pytest.mark.uws("11.1")
def test_each_list_of_jobs_is_told_as_a_uws(one):
    lists = said(one)[UWS_ID]
    assert f"{one.url}/rest/work" in lists
    for url in lists:
        assert documents.parse(one.get(url)).get("version") == "1.1"


@pytest.mark.uws("11.2")
def test_capabilities_are_what_the_schema_says(one):
    answer = one.get("/capabilities")
    root = documents.parse(answer)
    assert root.tag == f"{{{CAPABILITIES}}}capabilities"
    for capability in root:
        assert capability.tag == "capability"
        # Of a job list also the addresses below it belong to the service.
        is_list = (capability.get("standardID") or "").startswith("ivo://ivoa.net/std/UWS#")
        interfaces = capability.findall("interface")
        assert interfaces
        for interface in interfaces:
            prefix, _, kind = interface.get(f"{XSI}type").partition(":")
            assert (interface.nsmap[prefix], kind) == (
                "http://www.ivoa.net/xml/VODataService/v1.1",
                "ParamHTTP",
            )
            [url] = interface.findall("accessURL")
            assert url.get("use") == ("base" if is_list else "full")
    assert said(one)["ivo://ivoa.net/std/VOSI#capabilities"] == [f"{one.url}/capabilities"]
    assert said(one)["ivo://ivoa.net/std/VOSI#availability"] == [f"{one.url}/availability"]
    schemas.validate(root, "VOSICapabilities.xsd", "VODataService.xsd")


@pytest.mark.uws("11.2")
def test_capabilities_tell_when_they_changed_last(one, jobs):
    def modified():
        return parsedate_to_datetime(one.get("/capabilities").headers["Last-Modified"])

    assert modified() <= datetime.now(UTC)
    before = modified()
    # HTTP has no fractions of seconds.
    eventually(lambda: datetime.now(UTC) - before >= timedelta(seconds=1))
    assert f"{one.url}{jobs}" in said(one)[UWS_ID]
    one.opus("jdl", "withdraw", jobs.rpartition("/")[2])
    assert f"{one.url}{jobs}" not in said(one)[UWS_ID]
    eventually(lambda: describe(one, WORK, name=jobs.rpartition("/")[2]) and modified() > before)


@pytest.mark.uws("11.2", "11.3")
@pytest.mark.parametrize(
    "address", ["/capabilities", "/availability", "/rest/capabilities", "/rest/availability"]
)
def test_they_can_only_be_read_and_by_everybody(gate, address):
    """Also where nobody unknown may have jobs."""
    assert gate.get(PREFIX + address).status == 200
    for method in ("POST", "PUT", "DELETE"):
        answer = gate.request(method, PREFIX + address)
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.uws("11.2", "11.3")
@pytest.mark.parametrize("name", ["capabilities", "availability"])
def test_they_are_siblings_of_the_job_lists_as_well(one, name):
    """DALI 1.1 section 2; a client finds them beside the list that it was given."""
    beside = urljoin(f"{one.url}/rest/work", name)
    assert one.get(beside).body == one.get(f"/{name}").body
    assert one.get(beside).headers["Content-Type"] == one.get(f"/{name}").headers["Content-Type"]
    assert one.get(f"{beside}/x").status == 404


@pytest.mark.uws("11.3")
def test_availability_is_what_the_schema_says(one, still):
    root = documents.parse(one.get("/availability"))
    assert root.tag == f"{AVAILABILITY}availability"
    assert root.findtext(f"{AVAILABILITY}available") == "true"
    documents.instant(root.findtext(f"{AVAILABILITY}upSince"))
    schemas.validate(root, "VOSIAvailability.xsd")
    root = documents.parse(still.get("/availability"))
    assert root.findtext(f"{AVAILABILITY}available") == "false"
    assert "no supervisor" in root.findtext(f"{AVAILABILITY}note")
    schemas.validate(root, "VOSIAvailability.xsd")


def as_(user: str) -> dict[str, str]:
    return {"X-Test-User": user}


@pytest.mark.uws("11.4")
def test_the_owner_is_who_signed_in(gate, one):
    job = gate.post(LIST, {}, headers=as_("ann")).location
    root = documents.job(gate.get(job, headers=as_("ann")))
    assert text(root, "ownerId") == "ann"
    assert gate.get(f"{job}/owner", headers=as_("ann")).text == "ann"
    schemas.validate(root, "UWS.xsd")
    nobody_s = one.create("work", run=False)
    answer = one.get(f"{nobody_s}/owner")
    assert (answer.status, answer.body) == (200, b"")
    assert text(documents.job(one.get(nobody_s)), "ownerId") is None


@pytest.mark.uws("11.5", "11.7")
def test_a_job_of_somebody_else_is_403_with_all_that_belongs_to_it(gate):
    job = gate.post(LIST, {"text": "secret"}, headers=as_("ann")).location
    for part in ("", "/phase", "/parameters", "/parameters/text", "/results", "/results/output"):
        assert gate.get(job + part, headers=as_("bob")).status == 403, part
    assert gate.get(f"{job}/stdout", headers=as_("bob")).status == 403
    assert gate.get(f"{job}?WAIT=1", headers=as_("bob")).status == 403
    assert gate.post(f"{job}/phase", {"PHASE": "RUN"}, headers=as_("bob")).status == 403
    assert gate.post(job, {"ACTION": "DELETE"}, headers=as_("bob")).status == 403
    assert gate.request("DELETE", job, headers=as_("bob")).status == 403
    assert gate.get(f"{job}/phase", headers=as_("ann")).text == "PENDING"


@pytest.mark.uws("11.5")
def test_a_list_shows_one_s_own_jobs(gate):
    job = gate.post(LIST, {}, headers=as_("cid")).location
    rows = documents.jobs(gate.get(LIST, headers=as_("cid")))
    assert [row.get("id") for row in rows] == [id_of(job)]
    assert rows[0].findtext(f"{documents.UWS}ownerId") == "cid"
    assert documents.jobs(gate.get(LIST, headers=as_("dan"))) == []


@pytest.mark.uws("11.6")
def test_who_has_to_sign_in_is_told_so(gate):
    job = gate.post(LIST, {}, headers=as_("ann")).location
    for method, address in (("GET", LIST), ("POST", LIST), ("GET", job), ("DELETE", job)):
        answer = gate.request(method, address)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"]


@pytest.mark.uws("11.8")
def test_an_error_is_a_short_text(one):
    for address, status in (("/rest/work?LAST=x", 400), ("/rest/work/0", 404)):
        answer = one.get(address)
        assert answer.status == status
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert 0 < len(answer.text) < 300
