"""UWS documents in XML, exactly as the schema of UWS 1.1 (appendix B) has them.

A job is built with lxml. A list may have a million rows, so it is written row by row; a test holds
that both ways give the same trees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from opus_core.job import Job, JobSummary, Parameter
from opus_core.render.text import instant
from opus_core.render.urls import Urls
from opus_core.texts import LONGEST
from opus_core.values import fits_xml, for_xml

UWS: Final = "http://www.ivoa.net/xml/UWS/v1.0"
XLINK: Final = "http://www.w3.org/1999/xlink"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
INFO: Final = "urn:opus:uws:1"
"""Elements `info` of jobInfo: one for each key."""
VOSI: Final = "http://www.ivoa.net/xml/VOSIAvailability/v1.0"
VOSI_CAPABILITIES: Final = "http://www.ivoa.net/xml/VOSICapabilities/v1.0"
VO_DATA_SERVICE: Final = "http://www.ivoa.net/xml/VODataService/v1.1"

_NSMAP: Final = {"uws": UWS, "xlink": XLINK, "xsi": XSI}
_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    f'<uws:jobs xmlns:uws="{UWS}" xmlns:xlink="{XLINK}" xmlns:xsi="{XSI}" version="1.1">\n'
)
_ROWS: Final = 100  # written at once


def job(value: Job, urls: Urls) -> bytes:
    """`uws:job`; the order of its children is the schema's."""
    root = _root("job", version="1.1")
    _text(root, "jobId", value.id)
    if value.run_id is not None:
        _text(root, "runId", value.run_id)
    _text(root, "ownerId", value.owner)
    _text(root, "phase", value.phase)
    _time(root, "quote", value.quote)
    _time(root, "creationTime", value.created)
    _time(root, "startTime", value.started)
    _time(root, "endTime", value.ended)
    _text(root, "executionDuration", str(value.execution_duration))
    _time(root, "destruction", value.destruction)
    _fill_parameters(etree.SubElement(root, _tag("parameters")), value, urls)
    _fill_results(etree.SubElement(root, _tag("results")), value, urls)
    if value.error is not None:
        summary = etree.SubElement(
            root,
            _tag("errorSummary"),
            type=value.error.type.value,
            hasDetail="true" if value.error.has_detail else "false",
        )
        _text(summary, "message", value.error.message)
    if value.job_info:
        info = etree.SubElement(root, _tag("jobInfo"))
        for key, said in value.job_info.items():
            entry = etree.SubElement(
                info, f"{{{INFO}}}info", key=for_xml(key), nsmap={"opus": INFO}
            )
            entry.text = for_xml(said)
    return _document(root)


def parameters(value: Job, urls: Urls) -> bytes:
    """`uws:parameters`."""
    root = _root("parameters")
    _fill_parameters(root, value, urls)
    return _document(root)


def results(value: Job, urls: Urls) -> bytes:
    """`uws:results`."""
    root = _root("results")
    _fill_results(root, value, urls)
    return _document(root)


def jobs(rows: Iterable[JobSummary], urls: Urls) -> Iterator[bytes]:
    """`uws:jobs`, piece by piece."""
    yield _HEAD.encode()
    left = iter(rows)
    while chunk := "".join(_row(row, urls) for row in islice(left, _ROWS)):
        yield chunk.encode()
    yield b"</uws:jobs>\n"


def availability(*, available: bool, up_since: datetime | None, notes: Iterable[str] = ()) -> bytes:
    """VOSI availability (VOSI 1.1 section 5.4)."""
    root = etree.Element(f"{{{VOSI}}}availability", nsmap={"vosi": VOSI})
    etree.SubElement(root, f"{{{VOSI}}}available").text = "true" if available else "false"
    if up_since is not None:
        etree.SubElement(root, f"{{{VOSI}}}upSince").text = instant(up_since)
    for note in notes:
        etree.SubElement(root, f"{{{VOSI}}}note").text = for_xml(note)
    return _document(root)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A capability: an address, and what is there."""

    standard: str = ""  # its id, if it is one
    description: str
    url: str
    base: bool = False  # the addresses below belong to it, too
    methods: tuple[str, ...] = ()  # ids of ways to say who one is; an empty one: none is needed


def capabilities(offers: Iterable[Offer]) -> bytes:
    """VOSI capabilities (VOSI 1.1 section 3.1)."""
    nsmap = {"vosi": VOSI_CAPABILITIES, "vs": VO_DATA_SERVICE, "xsi": XSI}
    root = etree.Element(f"{{{VOSI_CAPABILITIES}}}capabilities", nsmap=nsmap)
    for offer in offers:
        entry = etree.SubElement(root, "capability")
        if offer.standard:
            entry.set("standardID", offer.standard)
        etree.SubElement(entry, "description").text = for_xml(offer.description)
        for method in offer.methods or ("",):
            # An interface has one way at most (VOResource 1.1 section 2.2.2), or none: anonymous.
            interface = etree.SubElement(entry, "interface")
            interface.set(f"{{{XSI}}}type", "vs:ParamHTTP")
            use = "base" if offer.base else "full"
            etree.SubElement(interface, "accessURL", use=use).text = offer.url
            if method:
                etree.SubElement(interface, "securityMethod", standardID=method)
    return _document(root)


def apart(parameter: Parameter) -> bool:
    """Whether any document only says where the value is: it is a file, or as long as one."""
    return parameter.upload is not None or len(parameter.value) > LONGEST


def by_reference(parameter: Parameter) -> bool:
    """Whether an XML document only says where the value is: so it is with what XML cannot hold."""
    return apart(parameter) or not fits_xml(parameter.value)


def numbered(job: Job) -> Iterator[tuple[Parameter, int]]:
    """Each value with the number that tells it from others of its name; 0 if it is the only one."""
    values = Counter(parameter.name for parameter in job.parameters)
    counts = Counter[str]()
    for parameter in job.parameters:
        counts[parameter.name] += 1
        yield parameter, counts[parameter.name] if values[parameter.name] > 1 else 0


def _fill_parameters(parent: etree._Element, value: Job, urls: Urls) -> None:
    for parameter, number in numbered(value):
        entry = etree.SubElement(parent, _tag("parameter"), id=parameter.name)
        if by_reference(parameter):
            entry.set("byReference", "true")
            ours = urls.parameter(value.definition.name, value.id, parameter.name, number)
            # Of a file that was given as a URL, that is the value.
            given = parameter.upload is not None and parameter.value
            entry.text = given if given and fits_xml(given) else ours
        else:
            entry.text = parameter.value


def _fill_results(parent: etree._Element, value: Job, urls: Urls) -> None:
    for result in value.results:
        entry = etree.SubElement(parent, _tag("result"), id=result.id)
        entry.set(f"{{{XLINK}}}type", "simple")
        entry.set(f"{{{XLINK}}}href", urls.result(value.definition.name, value.id, result.id))
        entry.set("size", str(result.size))
        entry.set("mime-type", for_xml(result.media_type))


def _row(row: JobSummary, urls: Urls) -> str:
    href = quoteattr(urls.job(row.definition.name, row.id))
    run_id = "" if row.run_id is None else f"<uws:runId>{_escaped(row.run_id)}</uws:runId>"
    owner = "" if row.owner is None else f"<uws:ownerId>{_escaped(row.owner)}</uws:ownerId>"
    return (
        f'<uws:jobref id={quoteattr(row.id)} xlink:type="simple" xlink:href={href}>'
        f"<uws:phase>{row.phase.value}</uws:phase>{run_id}{owner}"
        f"<uws:creationTime>{instant(row.created)}</uws:creationTime></uws:jobref>\n"
    )


def _escaped(text: str) -> str:
    # A bare carriage return would be read back as a line feed (XML 1.0 section 2.11).
    return escape(for_xml(text), {"\r": "&#13;"})


def _tag(name: str) -> str:
    return f"{{{UWS}}}{name}"


def _root(name: str, **attributes: str) -> etree._Element:
    return etree.Element(_tag(name), attributes, nsmap=_NSMAP)


def _text(parent: etree._Element, name: str, text: str | None) -> None:
    """A child with a text; `xsi:nil` for None."""
    child = etree.SubElement(parent, _tag(name))
    if text is None:
        child.set(f"{{{XSI}}}nil", "true")
    else:
        child.text = for_xml(text)


def _time(parent: etree._Element, name: str, value: datetime | None) -> None:
    _text(parent, name, instant(value) if value is not None else None)


def _document(root: etree._Element) -> bytes:
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8")) + b"\n"
