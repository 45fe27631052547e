"""A description as a tree of plain values, and the places in it: `parameters.0.unit`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any, Final

from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
)

Tree = dict[str, Any]

_LISTS: Final[Mapping[type, Mapping[str, type]]] = {
    JobDefinition: {
        "parameters": ParameterDescription,
        "used": UsedDescription,
        "generated": GeneratedDescription,
    },
    ParameterDescription: {"options": Option},
}
_MAPPINGS: Final = frozenset({"options", "extensions"})  # of a description
_FLAGS: Final = frozenset({"required", "repeated"})
_SECONDS: Final = frozenset({"execution_duration", "quote"})
_NULL: Final = frozenset({"default", "minimum", "maximum"})


def tree(definition: JobDefinition) -> Tree:
    """The description as plain values."""
    found = asdict(definition)
    for name in _MAPPINGS:
        found[name] = dict(found[name])
    return found


def difference(wanted: Tree, there: Tree) -> Iterator[tuple[str, Any]]:
    """The places at which these differ, with what is wanted. Both have the same lists."""
    yield from _difference(wanted, there, "")


def _difference(wanted: Any, there: Any, place: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    if isinstance(wanted, dict) and place not in _MAPPINGS:
        for key, value in wanted.items():
            yield from _difference(value, there[key], f"{place}.{key}" if place else key)
    elif isinstance(wanted, (list, tuple)):
        for number, (one, other) in enumerate(zip(wanted, there, strict=True)):
            yield from _difference(one, other, f"{place}.{number}")
    elif wanted != there:
        yield place, wanted


def put(into: Tree, place: str, value: object) -> None:
    """Put a value where it belongs; `LookupError` or `TypeError` if there is no such place."""
    *way, last = place.split(".")
    at: Any = into
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at[step]
    if not isinstance(at, dict) or last not in at or isinstance(at[last], list):
        raise LookupError(place)
    at[last] = value


def built(given: Tree) -> JobDefinition:
    """The description of these values; `TypeError` for one of another type."""
    found: JobDefinition = _built(JobDefinition, given)
    return found


def empty(kind: type) -> Tree:
    """The values that an entry has if nothing is said of it."""
    values: Tree = {}
    for one in fields(kind):
        if one.name in _LISTS.get(kind, {}):
            values[one.name] = []
        elif one.default_factory is not MISSING:
            values[one.name] = {}
        else:
            values[one.name] = "" if one.default is MISSING else one.default
    return values


def _built(kind: type, given: Tree) -> Any:  # noqa: ANN401 - of that kind
    lists = _LISTS.get(kind, {})
    values: Tree = {}
    for name, value in given.items():
        if name in lists:
            values[name] = tuple(_built(lists[name], one) for one in value)
        else:
            _check(kind, name, value)
            is_type = kind is ParameterDescription and name == "type"
            values[name] = ParameterType(value) if is_type else value
    return kind(**values)


def _check(kind: type, name: str, value: object) -> None:
    if kind is JobDefinition and name in _MAPPINGS:
        fits = isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
    elif name in _FLAGS:
        fits = isinstance(value, bool)
    elif kind is JobDefinition and name in _SECONDS:
        fits = value is None or (isinstance(value, int) and not isinstance(value, bool))
    else:
        fits = isinstance(value, str) or (value is None and name in _NULL)
    if not fits:
        raise TypeError(name)
