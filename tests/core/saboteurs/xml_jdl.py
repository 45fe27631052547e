"""The same format inside one XML element: the reference that the saboteurs of XML break."""

from __future__ import annotations

from types import MappingProxyType

from lxml import etree

from core.saboteurs.json_jdl import LARGEST, JsonJdl
from opus_core.backends import Bundle
from opus_core.errors import JdlError


class XmlJdl(JsonJdl):
    """JSON as the text of `<job>`; what XML cannot hold is escaped by JSON already."""

    name = "xml"
    about = "Job descriptions as JSON in XML, for the tests"
    suffix = ".xml"
    media_type = "application/xml"

    def recognises(self, head):
        return b"<job>{&quot;" in head or b'<job>{"format"' in head

    def parser(self):
        return etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True)

    def loads(self, data, files=MappingProxyType({})):
        if len(data) > LARGEST:
            raise JdlError(f"{len(data)} bytes are too many; {LARGEST} are the most")
        try:
            root = etree.fromstring(data, self.parser())
        except etree.XMLSyntaxError as error:
            raise JdlError("this is not XML", line=error.lineno or 1) from None
        self.refuse(root)
        if root.tag != "job" or len(root):
            raise JdlError("this is no single <job>", line=root.sourceline)
        return super().loads((root.text or "").encode(), files)

    def refuse(self, root):
        if root.getroottree().docinfo.doctype:
            raise JdlError("a DOCTYPE is refused; remove it", line=1)

    def dumps(self, definition, *, lossy=False):
        inner = super().dumps(definition, lossy=lossy)
        root = etree.Element("job")
        root.text = inner.data.decode()
        return Bundle(data=etree.tostring(root, xml_declaration=True), files=inner.files)
