"""Answers as UWS documents, each read by vo-models as well, as strict a reader as there is."""

from __future__ import annotations

import re
from datetime import datetime

from lxml import etree
from pydantic_xml import element
from vo_models.uws import Jobs, JobSummary, Parameter, Results
from vo_models.uws.models import NSMAP, BaseXmlModel

from servers import Answer, Site

UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
XLINK = "{http://www.w3.org/1999/xlink}"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"

# UWS 1.1 section 2.2.1: with a T, and in UTC with a Z.
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class AnyParameters(BaseXmlModel, tag="parameters", ns="uws", nsmap=NSMAP):
    parameter: list[Parameter] | None = element(tag="parameter", default_factory=list)


def parse(answer: Answer) -> etree._Element:
    assert answer.status == 200, answer.text
    assert answer.headers["Content-Type"] == "application/xml; charset=utf-8"
    return etree.fromstring(answer.body)


def job(answer: Answer) -> etree._Element:
    """A `uws:job`."""
    root = parse(answer)
    assert root.tag == f"{UWS}job"
    read = JobSummary[AnyParameters].from_xml(answer.body)
    assert read.job_id == root.findtext(f"{UWS}jobId")
    assert read.phase == root.findtext(f"{UWS}phase")
    return root


def jobs(answer: Answer) -> list[etree._Element]:
    """The `uws:jobref`s of a list."""
    root = parse(answer)
    assert root.tag == f"{UWS}jobs"
    refs = root.findall(f"{UWS}jobref")
    assert len(Jobs.from_xml(answer.body).jobref) == len(refs) == len(root)
    return refs


def results(answer: Answer) -> dict[str, etree._Element]:
    """The results of a `uws:results` by their ids."""
    root = parse(answer)
    assert root.tag == f"{UWS}results"
    assert len(Results.from_xml(answer.body).results) == len(root)
    found = {one.get("id"): one for one in root.findall(f"{UWS}result")}
    assert len(found) == len(root), "each has an id of its own"
    return found


def parameters(root: etree._Element) -> list[tuple[str, str]]:
    """Names and values below a `uws:parameters`, or a job's."""
    return [(one.get("id"), one.text or "") for one in root.iter(f"{UWS}parameter")]


def ids(site: Site, address: str) -> list[str]:
    """The ids of a list, in its order."""
    return [ref.get("id") for ref in jobs(site.get(address))]


def text(root: etree._Element, name: str) -> str | None:
    """The text of a child; None if it is nil. It has to be there."""
    (child,) = root.findall(f"{UWS}{name}")
    if child.get(f"{XSI}nil") == "true":
        assert child.text is None
        assert len(child) == 0
        return None
    return child.text or ""


def instant(said: str) -> datetime:
    assert INSTANT.fullmatch(said), said
    return datetime.fromisoformat(said)


def id_of(url: str) -> str:
    """The id of a job, by its URL."""
    return url.rpartition("/")[2]
