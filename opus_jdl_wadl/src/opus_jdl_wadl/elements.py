"""Find elements, attributes and text of a WADL, whatever namespace somebody put them in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from lxml import etree

from opus_core.errors import JdlError
from opus_jdl_wadl import names
from opus_jdl_wadl.document import line, local
from opus_jdl_wadl.names import opus

_TRUE: Final = frozenset({"true", "yes", "y", "1", "on"})
_FALSE: Final = frozenset({"false", "no", "n", "0", "off", "none", ""})


def every(root: etree._Element, name: str) -> Iterator[etree._Element]:
    """All elements of that name below `root`, in the order of the document; none of our own."""
    return (element for element in root.iter(f"{{*}}{name}") if local(element))


def children(element: etree._Element, name: str) -> list[etree._Element]:
    """The children of that name; none of our own."""
    return [child for child in element.iterchildren(f"{{*}}{name}") if local(child)]


def find(root: etree._Element, name: str, identifier: str) -> etree._Element | None:
    """The first element of that name and id."""
    return next((one for one in every(root, name) if one.get("id") == identifier), None)


def identified(root: etree._Element, name: str) -> dict[str, etree._Element]:
    """All elements of that name that have an id, by its reference, `#id`."""
    found = ((one.get("id"), one) for one in every(root, name))
    return {f"#{identifier}": one for identifier, one in found if identifier is not None}


def referred(element: etree._Element, targets: Mapping[str, etree._Element]) -> etree._Element:
    """The element itself, or the one of `targets` that it refers to by `href`."""
    href = element.get("href")
    if href is None:
        return element
    target = targets.get(href)
    if target is None or target.get("href") is not None:
        raise JdlError(
            f"{href!r} is not the id of a <{local(element)}> in this document, and nothing is"
            " fetched; write it out here",
            line=line(element),
        )
    return target


def attribute(element: etree._Element, name: str) -> str | None:
    """An attribute in our namespace, without one, or in any other, in this order."""
    for spelling in (opus(name), name):
        if (value := element.get(spelling)) is not None:
            return value
    others = (str(value) for key, value in element.items() if key.endswith(f"}}{name}"))
    return next(others, None)


def text(element: etree._Element, name: str) -> str:
    """An attribute as above; empty if there is none."""
    return attribute(element, name) or ""


def optional(element: etree._Element, name: str) -> str | None:
    """An attribute that may be unset; empty counts only if it is said in our own namespace."""
    own = element.get(opus(name))
    return own if own is not None else (attribute(element, name) or None)


def boolean(element: etree._Element, name: str) -> bool:
    """An attribute that says yes or no in one of many ways; no if there is none."""
    said = text(element, name)
    word = said.strip().casefold()
    if word not in _TRUE | _FALSE:
        raise JdlError(f"{name} is {said!r}; expected 'true' or 'false'", line=line(element))
    return word in _TRUE


def content(element: etree._Element) -> str:
    """The text of an element and all in it."""
    whole = "".join(str(part) for part in element.itertext())
    return whole if element.get(names.SPACE) == "preserve" else names.clean_text(whole)


def doc(element: etree._Element) -> str:
    """The text of the first `doc` of an element."""
    return next((content(one) for one in children(element, "doc")), "")


def named(element: etree._Element, name: str) -> Iterator[tuple[str, str]]:
    """The name and text of the children of that name that are our own."""
    for child in element.iterchildren(opus(name)):
        key = child.get("name")
        if key is None:
            raise JdlError(f"<opus:{name}> has no name", line=line(child))
        yield key, "".join(str(part) for part in child.itertext())
