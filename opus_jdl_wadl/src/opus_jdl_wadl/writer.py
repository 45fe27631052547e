"""Write a job description as WADL: the whole UWS of that job, in which its own part is filled in.

What is the same for every job stands in `uws.wadl` beside this module. The inputs are described
once, at the POST that creates a job, and referred to where they may be changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from lxml import etree

from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    ParameterDescription,
    UsedDescription,
)
from opus_jdl_wadl import names
from opus_jdl_wadl.names import opus, wadl

_INDENT: Final = "  "


def write(definition: JobDefinition) -> bytes:
    """The document, whatever its size; XML must be able to hold its texts (`.texts`)."""
    root = _template()
    ids = {element.get("id"): element for element in root.iter(etree.Element)}
    _fill_job_list(ids[names.JOB_LIST], definition)
    if definition.execution_duration is not None:
        # The original takes the first, and we the first that says something.
        for place in (names.CREATE_JOB, "job_executionduration"):
            duration = _param(ids[place], names.EXECUTION_DURATION)
            duration.set("default", str(definition.execution_duration))
    _fill_inputs(ids, definition)
    for result in definition.generated:
        _add_result(_param(ids["job_result_name"], names.RESULT_ID), result)
    if definition.quote is not None:
        ids[names.QUOTE].set(opus("default"), str(definition.quote))
    etree.indent(root, space=_INDENT)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True) + b"\n"


@cache
def _template_text() -> bytes:
    return files(__package__).joinpath("uws.wadl").read_bytes()


def _template() -> etree._Element:
    parser = etree.XMLParser(remove_blank_text=True, remove_comments=True, resolve_entities=False)
    return etree.fromstring(_template_text(), parser)


def _fill_job_list(job_list: etree._Element, definition: JobDefinition) -> None:
    job_list.set("path", definition.name)
    if names.clean_path(definition.name) != definition.name:
        job_list.set(opus("name"), definition.name)
    said = {
        "doculink": definition.doculink,
        "contact_name": definition.contact_name,
        "contact_email": definition.contact_email,
        "type": definition.type,
        "subtype": definition.subtype,
        "version": definition.version,
    }
    _set_own(job_list, said)
    described = _doc(definition.description)
    described.set("title", names.DESCRIPTION)
    job_list.insert(0, described)
    for element, pairs in (("setting", definition.options), ("extension", definition.extensions)):
        for name, text in pairs.items():
            etree.SubElement(job_list, opus(element), {"name": name}).text = text


def _fill_inputs(ids: Mapping[str | None, etree._Element], definition: JobDefinition) -> None:
    create, change = (
        next(ids[method].iterchildren(wadl("request")))
        for method in (names.CREATE_JOB, names.SET_JOB_PARAMETERS)
    )
    name = _param(ids["job_parameter_name"], names.PARAMETER_NAME)
    for index, entry in enumerate(definition.inputs()):
        param = _parameter(entry) if isinstance(entry, ParameterDescription) else _used(entry)
        # An id has to be an XML name and unique regardless of what inputs are called.
        param.set("id", f"input-{index + 1}")
        create.insert(1 + index, param)  # behind PHASE
        change.insert(index, etree.Element(wadl("param"), {"href": f"#input-{index + 1}"}))
        etree.SubElement(name, wadl("option"), {"value": entry.name})


def _parameter(entry: ParameterDescription) -> etree._Element:
    param = _input(entry, names.PARAMETER, f"xs:{entry.type.value}")
    if entry.repeated:
        param.set("repeating", "true")
    for name, bound in (("min", entry.minimum), ("max", entry.maximum)):
        if bound is not None:
            param.set(opus(name), bound)
    _set_own(param, {"unit": entry.unit, "ucd": entry.ucd, "utype": entry.utype})
    for option in entry.options:
        element = etree.SubElement(param, wadl("option"), {"value": option.value})
        if option.description:
            element.append(_doc(option.description))
    return param


def _used(entry: UsedDescription) -> etree._Element:
    param = _input(entry, names.USED, "xs:anyURI")
    said = {
        "content_type": entry.content_type,
        "role": entry.role,
        "multiplicity": entry.multiplicity,
        "url": entry.url,
    }
    _set_own(param, said)
    return param


def _input(entry: ParameterDescription | UsedDescription, kind: str, type_: str) -> etree._Element:
    attributes = {"style": "query", "name": entry.name, "type": type_}
    attributes["required"] = "true" if entry.required else "false"
    param = etree.Element(wadl("param"), attributes)
    if entry.default:
        param.set("default", entry.default)
    elif entry.default is not None:
        param.set(opus("default"), "")  # an empty `default` is read as none
    param.set(opus("kind"), kind)
    param.append(_doc(entry.description))
    return param


def _add_result(results: etree._Element, entry: GeneratedDescription) -> None:
    option = etree.SubElement(results, wadl("option"), {"value": entry.name})
    if entry.content_type:
        option.set("mediaType", entry.content_type)
    said = {
        "default": entry.default,
        "required": "true" if entry.required else "",
        "role": entry.role,
        "multiplicity": entry.multiplicity,
    }
    _set_own(option, said)
    option.append(_doc(entry.description))


def _param(resource: etree._Element, name: str) -> etree._Element:
    return next(one for one in resource.iter(wadl("param")) if one.get("name") == name)


def _set_own(element: etree._Element, said: Mapping[str, str]) -> None:
    """Attributes in our namespace; what is empty is left out, since nothing else is meant."""
    for name, value in said.items():
        if value:
            element.set(opus(name), value)


def _doc(text: str) -> etree._Element:
    """A `doc`, written even if it is empty: the original takes whatever comes first for one."""
    doc = etree.Element(wadl("doc"))
    doc.text = text
    if names.clean_text(text) != text:
        doc.set(names.SPACE, "preserve")
    return doc
