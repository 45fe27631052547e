"""Write a description as a VOTable."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from lxml import etree

from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    ParameterDescription,
    UsedDescription,
)
from opus_jdl_votable import names
from opus_jdl_votable.fields import difference, tree
from opus_jdl_votable.reader import tree_of

# The complement of Char in XML 1.0 section 2.2.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def write(definition: JobDefinition) -> bytes:
    """The document. What the original's words cannot say, by its words as near as can be, and then
    exactly, in the group `More`."""
    plain = _Document(definition)
    more = dict(difference(tree(definition), tree_of(plain.root)))
    if more:
        plain.add_more(more)
    return plain.bytes()


class _Document:
    """One that is being written."""

    def __init__(self, definition: JobDefinition) -> None:
        self._ids: set[str] = set()
        self.root = etree.Element("VOTABLE", {"version": "1.3"}, nsmap={None: names.NAMESPACE})
        self._resource = self._element(
            self.root,
            "RESOURCE",
            {"name": definition.name, "type": "meta", "utype": names.ACTIVITY},
            identified=True,
        )
        self._describe(self._resource, definition.description)
        for field, utype in names.TEXTS.items():
            self._param(self._resource, field, getattr(definition, field), utype=utype)
        for field, (name, utype) in names.SECONDS.items():
            if (seconds := getattr(definition, field)) is not None:
                words = {"name": name, "datatype": "int", "value": str(seconds), "utype": utype}
                self._element(self._resource, "PARAM", words)
        self._param(self._resource, "script", definition.script)
        inputs = self._group(self._resource, names.INPUTS)
        for parameter in definition.parameters:
            self._parameter(inputs, parameter)
        used = self._group(self._resource, names.USED)
        for one in definition.used:
            self._entity(used, one, "voprov:Used", "voprov:UsedDescription")
        generated = self._group(self._resource, names.GENERATED)
        for result in definition.generated:
            self._entity(generated, result, "voprov:WasGeneratedBy", "voprov:WasGeneratedBy")

    def bytes(self) -> bytes:
        """The document as it is now."""
        etree.indent(self.root)
        written: bytes = etree.tostring(self.root, encoding="UTF-8", xml_declaration=True)
        return written + b"\n"

    def add_more(self, more: Mapping[str, Any]) -> None:
        """Fields by their places, which the rest has no words for."""
        group = self._group(self._resource, names.MORE)
        for place, value in more.items():
            self._param(group, place, json.dumps(value))

    def _parameter(self, parent: etree._Element, one: ParameterDescription) -> None:
        datatype, xtype = names.DATATYPES[one.type]
        words = {
            "name": one.name,
            "datatype": datatype,
            "arraysize": "*" if datatype == "char" else "",
            "xtype": xtype,
            "value": one.default or "",
            "type": "" if one.required else names.OPTIONAL,
            "unit": one.unit,
            "ucd": one.ucd,
            "utype": one.utype,
        }
        kept = {key: value for key, value in words.items() if value or key in ("name", "value")}
        element = self._element(parent, "PARAM", kept, identified=True)
        self._describe(element, one.description)
        limits = [("MIN", one.minimum), ("MAX", one.maximum)]
        if one.options or any(value is not None for _, value in limits):
            values = self._element(element, "VALUES", {})
            for name, value in limits:
                if value is not None:
                    self._element(values, name, {"value": value})
            for option in one.options:
                named = {"name": option.description} if option.description else {}
                self._element(values, "OPTION", {**named, "value": option.value})

    def _entity(
        self,
        parent: etree._Element,
        one: UsedDescription | GeneratedDescription,
        relation: str,
        utype: str,
    ) -> None:
        group = self._element(parent, "GROUP", {"name": one.name, "utype": utype})
        self._describe(group, one.description)
        for field, words in names.ENTITY.items():
            if hasattr(one, field):
                self._param(group, field, getattr(one, field) or "", utype=words.format(relation))

    def _group(self, parent: etree._Element, name: str) -> etree._Element:
        return self._element(parent, "GROUP", {"name": name})

    def _param(self, parent: etree._Element, name: str, value: str, utype: str = "") -> None:
        words = {"name": name, "datatype": "char", "arraysize": "*", "value": value}
        self._element(parent, "PARAM", {**words, "utype": utype} if utype else words)

    def _describe(self, parent: etree._Element, text: str) -> None:
        if text:
            etree.SubElement(parent, f"{{{names.NAMESPACE}}}DESCRIPTION").text = _clean(text)

    def _element(
        self,
        parent: etree._Element,
        name: str,
        words: Mapping[str, str],
        *,
        identified: bool = False,
    ) -> etree._Element:
        """With an ID, if its name can be one and no other has it."""
        given = {key: _clean(value) for key, value in words.items()}
        identifier = given.get("name", "")
        if identified and _ID.fullmatch(identifier) and identifier not in self._ids:
            self._ids.add(identifier)
            given = {"ID": identifier, **given}
        return etree.SubElement(parent, f"{{{names.NAMESPACE}}}{name}", given)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
