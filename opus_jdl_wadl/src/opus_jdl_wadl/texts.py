"""The texts of a description: where each stands, which XML cannot hold, and how to go without."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any, Final

from opus_core.definition import JobDefinition
from opus_core.errors import CannotCarry
from opus_jdl_wadl.names import FORMAT

# The complement of Char in XML 1.0 section 2.2.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_UTF_8: Final = re.compile("[\ud800-\udfff]")
_ESCAPED: Final = str.maketrans(dict.fromkeys('&<>"\t\r\n', "&quot;"))
_SCRIPT: Final = "script"  # lies beside the document, as bytes
_LEFT_OUT: Final = object()


def illegal(definition: JobDefinition) -> list[str]:
    """Where there are characters that XML does not have, such as `parameters['x'].unit`."""
    found = (
        where
        for where, text in _texts(definition, "")
        if (_NOT_UTF_8 if where == _SCRIPT else _NOT_XML).search(text)
    )
    return list(dict.fromkeys(found))


def largest(
    definition: JobDefinition, excess: int, *, apart: Collection[str] = (_SCRIPT,)
) -> list[str]:
    """Where the largest texts stand, as many as make up for so many bytes too much; those `apart`
    are not in the document."""
    sizes: Counter[str] = Counter()
    for where, text in _texts(definition, ""):
        if where not in apart:
            # Never less than it takes, since too few can be followed by more. 1: also an empty
            # name bears something.
            sizes[where] += 1 + len(text.translate(_ESCAPED).encode())
    places = []
    for where, size in sizes.most_common():
        if excess <= 0:
            break
        places.append(where)
        excess -= size
    return places


def without(
    definition: JobDefinition, places: Collection[str], *, name: str = FORMAT
) -> JobDefinition:
    """The description without the texts that stand there, nor what is nothing without its text.
    `name`: of the format that has no room for them.

    Raises `CannotCarry` if that is all of it, since a description has a name.
    """
    rest = _sift(definition, "", frozenset(places))
    if not isinstance(rest, JobDefinition):
        raise CannotCarry(name, places)
    return rest


def _texts(value: object, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and not isinstance(value, Enum):
        yield where, value
    for part, key, place in _parts(value, where):
        if isinstance(value, Mapping):
            yield place, key
        yield from _texts(part, place)


def _sift(value: Any, where: str, places: Collection[str]) -> Any:  # noqa: ANN401 - any field's
    if where in places:
        return _LEFT_OUT
    found = ((key, _sift(part, place, places)) for part, key, place in _parts(value, where))
    kept = {key: part for key, part in found if part is not _LEFT_OUT}
    if isinstance(value, tuple):
        return tuple(kept.values())
    if isinstance(value, Mapping):
        return kept
    if is_dataclass(value) and not isinstance(value, type):
        if any(
            field.name not in kept
            for field in fields(value)
            if field.default is MISSING and field.default_factory is MISSING
        ):
            return _LEFT_OUT
        return type(value)(**kept)
    return value


def _parts(value: object, where: str) -> Iterator[tuple[object, Any, str]]:
    """What a value is made of: each part, what it is called there, and where it stands."""
    if isinstance(value, tuple):
        for index, part in enumerate(value):
            label = getattr(part, "name", getattr(part, "value", ""))
            yield part, index, f"{where}[{label!r}]"
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield part, key, f"{where}[{key!r}]"
    elif is_dataclass(value):
        for field in fields(value):
            place = f"{where}.{field.name}" if where else field.name
            yield getattr(value, field.name), field.name, place
