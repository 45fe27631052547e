"""The pages on which job descriptions are worked on."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from opus_core.definition import JobDefinition, ParameterType
from opus_core.definitions import Draft, State, Version
from opus_core.publishing import Wish
from opus_core.render.form import Field
from opus_core.render.html import Frame, part, render

_MOST: Final = 20_000  # lines; the time that comparing takes can grow with their square


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the page of all descriptions shows."""

    states: Sequence[State]
    drafts: Sequence[Draft]
    wishes: Sequence[Wish]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """A description in the editor."""

    definition: JobDefinition
    source: str  # where it is from: `draft`, `new` or `version N`
    author: str  # of a draft that is another's
    last: int  # number of the last version; 0: there is none
    publishes: bool  # the reader may publish
    formats: Sequence[str]  # that are installed


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two versions of a description."""

    name: str
    versions: Sequence[Version]
    before: str
    after: str
    lines: Sequence[tuple[str, str]]  # of what differs: `same`, `old`, `new` or `place`, and a line
    draft: bool  # the reader has one


def descriptions(frame: Frame, listing: Listing) -> str:
    """All descriptions, and what is being done to them."""
    return render("descriptions.html", frame, listing=listing)


def editor(frame: Frame, edited: Edited) -> str:
    """The editor of a description."""
    rest = {"extensions": dict(edited.definition.extensions)}
    types = list(ParameterType)
    return render("edit.html", frame, edited=edited, rest=json.dumps(rest), types=types)


def preview(fields: Sequence[Field]) -> str:
    """The fields of the form that a description makes, without a page around them."""
    return part("preview.html", fields=fields)


def versions(frame: Frame, compared: Compared) -> str:
    """All versions, and how two of them differ."""
    return render("versions.html", frame, compared=compared)


def difference(before: JobDefinition, after: JobDefinition) -> list[tuple[str, str]]:
    """What differs, line by line, with three lines around each place."""
    old, new = _lines(before), _lines(after)
    if max(len(old), len(new)) > _MOST:
        return [("place", f"More than {_MOST} lines: too long to be compared here.")]
    found = difflib.unified_diff(old, new, lineterm="", n=3)
    return [(_kind(line), line) for line in found if not line.startswith(("---", "+++"))]


def _kind(line: str) -> str:
    return {"-": "old", "+": "new", "@": "place"}.get(line[:1], "same")


def _lines(definition: JobDefinition) -> list[str]:
    content = asdict(definition)
    script = content.pop("script")
    return [*_said(content, ""), "", "script:", *script.split("\n")]


def _said(content: object, place: str) -> Iterator[str]:
    """What a description says, one thing a line; nothing of what it does not say."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _said(value, f"{place}.{key}" if place else str(key))
    elif isinstance(content, list | tuple):
        for number, value in enumerate(content, 1):
            yield from _said(value, f"{place} {number}")
    elif content not in (None, "", False):
        yield f"{place}: {content}"
