"""Parse XML that strangers wrote: bounded, without DOCTYPE, entities or network."""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn

from lxml import etree

from opus_core.errors import JdlError
from opus_jdl_wadl.names import OPUS

MAX_SIZE: Final = 1024 * 1024
"""The largest document that is read or written [byte]."""

_POSITION: Final = re.compile(r",? line \d+(, column \d+)?")
# Atomic, since a stranger's prolog must not make the expression try every way to divide it.
_ROOT: Final = re.compile(
    rb"""(?> \s | <\?.*?\?> | <!--.*?--> | <!DOCTYPE[^<>]*> )*+
         <(?:(?P<prefix>[\w.-]++):)?application (?P<attributes> (?=[\s/>]) [^>]* )""",
    re.DOTALL | re.VERBOSE,
)


def parse(data: bytes) -> etree._Element:
    """The root of a document, without comments and processing instructions.

    Raises `JdlError` with the line for what is too large, not well-formed, or has a DOCTYPE.
    """
    if len(data) > MAX_SIZE:
        raise JdlError(
            f"a job description of {len(data)} bytes is too large; {MAX_SIZE} are the most"
        )
    try:
        # Twice, because entities in attributes are replaced while parsing, whatever the parser
        # is told: a DOCTYPE has to be refused before its first entity is declared.
        _refuse_doctype(data)
        parser = etree.XMLParser(
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        sentence = " ".join(_POSITION.sub("", error.msg or "it is empty").split())
        raise JdlError(f"this is not well-formed XML: {sentence}", line=error.lineno or 0) from None


def recognises(head: bytes) -> bool:
    """Whether a document that begins so may be WADL: an `application` of WADL or of nothing."""
    # Dropping NULs makes ASCII of UTF-16 and UTF-32, byte order marks aside.
    root = _ROOT.match(head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe"))
    if root is None:
        return False
    declaration = b"xmlns:" + root["prefix"] if root["prefix"] else b"xmlns"
    namespace = re.search(
        rb"\s" + re.escape(declaration) + rb"""\s*=\s*["']([^"']*)""", root["attributes"]
    )
    return namespace is None or b"wadl" in namespace[1].lower()


def local(element: etree._Element) -> str:
    """The name of an element whatever its namespace; empty for one of our own."""
    name = etree.QName(element)
    return "" if name.namespace == OPUS else name.localname


def line(element: etree._Element) -> int:
    """Where an element stands, from 1."""
    return element.sourceline or 0


def _refuse_doctype(data: bytes) -> None:
    guard: Any = _Guard(data)  # lxml takes a target with any of the methods it knows
    parser = etree.XMLParser(
        target=guard, resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False
    )
    etree.fromstring(data, parser)


class _Guard:
    """A parser target that builds nothing and refuses a DOCTYPE."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def doctype(self, *_names: str | None) -> NoReturn:
        before = self._data.replace(b"\0", b"").partition(b"<!DOCTYPE")[0]
        raise JdlError(
            "a job description must not have a DOCTYPE; remove it, and write out its entities",
            line=before.count(b"\n") + 1,
        )

    def close(self) -> None:
        """Asked for by lxml."""
