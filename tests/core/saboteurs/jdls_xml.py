"""Formats in XML with one promise broken each."""

from __future__ import annotations

import re
import urllib.request
from types import MappingProxyType

from lxml import etree

from core.saboteurs import jdls
from core.saboteurs.jdls import call
from core.saboteurs.json_jdl import JsonJdl
from core.saboteurs.registry import breaks
from core.saboteurs.xml_jdl import XmlJdl
from opus_core.definition import JobDefinition
from opus_core.errors import JdlError
from opus_core.testing.jdl_xml import XmlPromises

NO_FILES = MappingProxyType({})
fixtures = jdls.fixtures


class XmlContract(XmlPromises):
    xml = True


class XmlSaboteur(XmlJdl):
    """XML, but for one thing."""


@breaks(
    XmlContract,
    "test_a_doctype_is_refused_with_its_line",
    says="does not say in which line",
)
class DoctypeSomewhere(XmlSaboteur):
    def refuse(self, root):
        if root.getroottree().docinfo.doctype:
            raise JdlError("a DOCTYPE is refused")


class Entities(XmlSaboteur):
    """Takes a DOCTYPE, and replaces entities that one allows."""

    wanted = rb"$^"

    def loads(self, data, files=NO_FILES):
        if re.search(self.wanted, data) is None:
            return super().loads(data, files)
        parser = etree.XMLParser(resolve_entities=True, load_dtd=True, huge_tree=True)
        root = etree.fromstring(data, parser)
        return JobDefinition(name="periodogram", description=(root.text or "")[:100])


@breaks(XmlContract, "test_an_entity_is_refused")
class ReplacesEntities(Entities):
    wanted = rb'ENTITY boom "'


@breaks(XmlContract, "test_an_entity_of_entities_is_refused")
class LaughsALot(Entities):
    wanted = rb"ENTITY l1 "

    def loads(self, data, files=NO_FILES):
        return super().loads(re.sub(rb"&l9;", b"&l2;", data), files)


@breaks(XmlContract, "test_an_entity_that_nobody_declared_is_refused")
class OverlooksEntities(XmlSaboteur):
    def loads(self, data, files=NO_FILES):
        if b"DOCTYPE" not in data:
            data = data.replace(b"&boom;", b"")
        return super().loads(data, files)


@breaks(XmlContract, "test_a_file_named_by_an_entity_is_not_read")
class ReadsFiles(Entities):
    wanted = rb"SYSTEM \"file:"


@breaks(
    XmlContract,
    "test_an_external_reference_is_refused_and_not_fetched",
    says="it has fetched what the document names",
)
class Fetches(XmlSaboteur):
    def loads(self, data, files=NO_FILES):
        named = re.search(rb'"(http://127[^"]*)"', data)
        if named and b"stylesheet" not in data:
            call(named[1].decode())
        return super().loads(data, files)


@breaks(XmlContract, "test_nothing_is_included_or_fetched")
class Includes(XmlSaboteur):
    def loads(self, data, files=NO_FILES):
        secret = re.search(rb'href="(file:[^"]*)"', data)
        if secret:
            with urllib.request.urlopen(secret[1].decode()) as file:
                return JobDefinition(name="x", description=file.read().decode())
        return super().loads(data, files)


@breaks(XmlContract, "test_an_error_in_the_xml_has_its_line")
class ErrorsAreNowhere(XmlSaboteur):
    def loads(self, data, files=NO_FILES):
        try:
            return super().loads(data, files)
        except JdlError as error:
            line = error.line if b"DOCTYPE" in data else 0
            raise JdlError("this is not XML", line=line) from None


@breaks(XmlContract, "test_elements_nested_deeply_are_refused")
class IgnoresElements(XmlSaboteur):
    def loads(self, data, files=NO_FILES):
        if data.count(b"<a>") > 10 and b"<job>" in data:
            data = re.sub(rb"</?a>", b"", data)
        return super().loads(data, files)


# --- a flag that claims too much ---


@breaks(
    XmlContract,
    "test_a_doctype_is_refused_with_its_line",
    more="nothing of XML can be tried on what is none",
    says="it says `xml = True`, and its documents have no root element",
)
class ClaimsToBeXml(JsonJdl):
    """JSON, and nothing wrong with it."""
