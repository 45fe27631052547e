"""Read a description from a VOTable."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from lxml import etree

from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
)
from opus_core.errors import JdlError
from opus_jdl_votable import names
from opus_jdl_votable.fields import Tree, built, empty, put
from opus_jdl_wadl.document import line, parse

_TYPES: Final[Mapping[tuple[str, str], ParameterType]] = {
    words: kind for kind, words in names.DATATYPES.items()
}
_DATATYPES: Final = frozenset(datatype for datatype, _ in names.DATATYPES.values())
_WIDE: Final = frozenset({"unicodeChar"})  # as good as char
_MANY: Final = ("0", "*")  # how the multiplicity of what need not be there begins


def read(data: bytes) -> JobDefinition:
    """The description in a document. Raises `JdlError`, with the line where there is one."""
    found = tree_of(parse(data))
    try:
        return built(found)
    except (TypeError, ValueError, RecursionError) as error:
        raise JdlError(f"{error} is not what its group {names.MORE} may say of it") from error


def tree_of(root: etree._Element) -> Tree:
    """What a document says, as plain values."""
    return _tree(_activity(root))


def with_script(definition: JobDefinition, script: bytes) -> JobDefinition:
    """The description with a script that lies beside it."""
    try:
        return replace(definition, script=script.decode())
    except UnicodeDecodeError as error:
        raise JdlError(f"the script is not text in UTF-8: {error.reason}") from error


def _activity(root: etree._Element) -> etree._Element:
    """The RESOURCE that is the description: the first that says so, or the first."""
    if _local(root) != "VOTABLE":
        raise JdlError(f"this is no VOTABLE, but <{_local(root)}>", line=line(root))
    every = [one for one in root.iter() if _local(one) == "RESOURCE"]
    said = [one for one in every if _text(one, "utype").endswith("ActivityDescription")]
    found = next(iter(said or every), None)
    if found is None:
        raise JdlError("this VOTABLE has no RESOURCE, and so no job description", line=line(root))
    return found


def _tree(resource: etree._Element) -> Tree:
    found = empty(JobDefinition)
    found["name"] = resource.get("name") or resource.get("ID") or ""
    found["description"] = _description(resource)
    params = {_text(one, "name"): one for one in _children(resource, "PARAM")}
    for field in (*names.TEXTS, "script"):
        if field in params:
            found[field] = _text(params[field], "value")
    for field, (name, _) in names.SECONDS.items():
        if name in params:
            found[field] = _seconds(params[name])
    groups = {_text(one, "name"): one for one in _children(resource, "GROUP")}
    inputs = _children(groups[names.INPUTS], "PARAM") if names.INPUTS in groups else []
    used = list(_entities(groups.get(names.USED), UsedDescription))
    found["generated"] = [
        one for one, _ in _entities(groups.get(names.GENERATED), GeneratedDescription)
    ]
    _share(found, inputs, used)
    if names.MORE in groups:
        _add_more(found, groups[names.MORE])
    return found


def _share(
    found: Tree, inputs: list[etree._Element], used: list[tuple[Tree, etree._Element]]
) -> None:
    """Each input is a parameter or a file: the original has one of its files in both places."""
    files = {_text(element, "ref"): one for one, element in used if element.get("ref")}
    found["used"] = [one for one, _ in used]
    for element in inputs:
        parameter = _parameter(element)
        names_of = (element.get("ID"), element.get("name"))
        file = next((files[one] for one in names_of if one and one in files), None)
        if file is None and element.get("xtype") == names.FILE:
            same = (one for one in found["used"] if one["name"] == parameter["name"])
            file = next(same, None)
            if file is None:
                file = {**empty(UsedDescription), "name": parameter["name"]}
                found["used"].append(file)
        if file is None:
            found["parameters"].append(parameter)
            continue
        file["required"] = parameter["required"]
        for field in ("description", "default"):
            file[field] = file[field] or parameter[field]


def _parameter(element: etree._Element) -> Tree:
    found = empty(ParameterDescription)
    found["type"] = _type(element)
    found["name"] = _text(element, "name") or _text(element, "ID")
    found["description"] = _description(element)
    found["default"] = _text(element, "value") or None
    found["required"] = element.get("type") != names.OPTIONAL
    for field in ("unit", "ucd", "utype"):
        found[field] = _text(element, field)
    for values in _children(element, "VALUES"):
        for field, name in (("minimum", "MIN"), ("maximum", "MAX")):
            for limit in _children(values, name):
                found[field] = _text(limit, "value") or None
        found["options"] += [_option(one) for one in _children(values, "OPTION")]
    return found


def _option(element: etree._Element) -> Tree:
    return {
        **empty(Option),
        "value": _text(element, "value"),
        "description": _text(element, "name"),
    }


def _type(element: etree._Element) -> ParameterType:
    datatype, xtype = _text(element, "datatype"), _text(element, "xtype")
    datatype = "char" if datatype in _WIDE or not datatype else datatype
    if datatype not in _DATATYPES:
        raise JdlError(
            f"the datatype {datatype!r} is none that a parameter can have; they are"
            f" {', '.join(sorted(_DATATYPES))}",
            line=line(element),
        )
    plain = _TYPES[datatype, ""]
    return _TYPES.get((datatype, xtype), plain)


def _entities(group: etree._Element | None, kind: type) -> Iterator[tuple[Tree, etree._Element]]:
    """What is used or generated, each with its element."""
    for element in _children(group, "GROUP") if group is not None else ():
        found = empty(kind)
        found["name"] = _text(element, "name") or _text(element, "ID")
        found["description"] = _description(element)
        for param in _children(element, "PARAM"):
            field = _text(param, "name")
            if field in names.ENTITY and field in found:
                found[field] = _text(param, "value")
        if kind is UsedDescription:
            found["default"] = found["default"] or None
            found["required"] = not found["multiplicity"].strip().startswith(_MANY)
        yield found, element


def _add_more(found: Tree, group: etree._Element) -> None:
    for param in _children(group, "PARAM"):
        place = _text(param, "name")
        try:
            put(found, place, json.loads(_text(param, "value")))
        except (LookupError, TypeError, ValueError, RecursionError) as error:
            raise JdlError(
                f"the group {names.MORE} says something of {place!r} that cannot be understood",
                line=line(param),
            ) from error


def _seconds(element: etree._Element) -> int | None:
    text = _text(element, "value").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise JdlError(
            f"{_text(element, 'name')} is {text[:40]!r}; expected whole seconds", line=line(element)
        )
    return int(text)


def _description(element: etree._Element) -> str:
    said = next(iter(_children(element, "DESCRIPTION")), None)
    return "" if said is None else "".join(str(part) for part in said.itertext()).strip()


def _children(element: etree._Element, name: str) -> list[etree._Element]:
    return [one for one in element if _local(one) == name]


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _text(element: etree._Element, name: str) -> str:
    return element.get(name) or ""
