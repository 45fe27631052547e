"""A job description in JSON, as the web client edits it: what `asdict` makes of one, read back.

It is no format that a site keeps: those are Jdl plugins. Entries are named by where they stand,
`parameters.0.name`, so that an editor can say at each field what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any, Final, TypeVar

from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
    check_name,
    faults_of,
)
from opus_core.errors import BadInput, JdlError
from opus_core.values import faults_of_limits, shown

_MOST: Final = 1000  # entries of a list


def loads(data: bytes, name: str) -> JobDefinition:
    """Read a document; `name` counts, and not what it says of that. It need not be fit to run.

    Raises `JdlError` for what is no JSON; `BadInput` for entries that are not of their type.
    """
    try:
        content = json.loads(data)
    except ValueError as error:  # of UnicodeDecodeError, too
        raise JdlError(f"this is no JSON: {error}") from error
    except RecursionError as error:
        raise JdlError("this JSON is nested too deeply for a job description") from error
    faults: dict[str, str] = {}
    given = content if isinstance(content, dict) else {}
    if not isinstance(content, dict):
        faults[""] = "a job description is an object of JSON"
    read = _entry(JobDefinition, {**given, "name": check_name(name)}, "", faults)
    if faults:
        raise BadInput(faults)
    return read


def faults(definition: JobDefinition) -> dict[str, str]:
    """What keeps a description from being published, by the entries that it is about."""
    found: dict[str, str] = {}
    for place, sentence in (*faults_of(definition), *faults_of_limits(definition)):
        found.setdefault(place, sentence)
    if not definition.script.strip():
        found.setdefault("script", "there is no script; write one")
    return found


_PARTS: Final[Mapping[str, type]] = {
    "parameters": ParameterDescription,
    "used": UsedDescription,
    "generated": GeneratedDescription,
}
_OBJECTS: Final = frozenset({"options", "extensions"})  # of a description; texts by texts


_T = TypeVar("_T")


def _entry(kind: type[_T], given: Mapping[str, Any], place: str, faults: dict[str, str]) -> _T:
    """One dataclass of a description; what is left out has its default."""
    legal = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]  # they are dataclasses
    values: dict[str, Any] = {}
    for key, value in given.items():
        here = f"{place}{key}"
        if key not in legal:
            if key != "number":  # of a version, which /jdl has beside the rest
                faults[here] = f"{shown(key)} is nothing that is said of {_what(place)}"
            continue
        values[key] = _value(kind, key, value, here, faults)
    for key, one in legal.items():
        if key not in values and one.default is MISSING and one.default_factory is MISSING:
            faults[f"{place}{key}"] = f"{key} is missing"
            values[key] = ""
    return kind(**values)


def _value(kind: type, key: str, value: Any, here: str, faults: dict[str, str]) -> Any:  # noqa: ANN401
    def fault(wanted: str) -> None:
        faults[here] = f"{key} is to be {wanted}"

    if key in _OBJECTS and kind is JobDefinition:
        if isinstance(value, dict) and all(isinstance(one, str) for one in value.values()):
            return dict(value)
        fault("an object of texts")
        return {}
    part = Option if key == "options" else _PARTS.get(key)
    if part is not None:
        if not isinstance(value, list) or len(value) > _MOST:
            fault(f"a list of {_MOST} entries at most")
            return ()
        return tuple(_parts(part, value, here, faults))
    if kind is ParameterDescription and key == "type":
        if value in _TYPES:
            return ParameterType(value)
        fault(f"one of {', '.join(_TYPES)}")
        return ParameterType.STRING
    check, wanted = _KINDS.get(key, _TEXT)
    if key in _NULL and value is None:
        return None
    if not check(value):
        fault(wanted)
        return "" if check is _is_text else None
    return value


def _parts(kind: type, value: list[Any], here: str, faults: dict[str, str]) -> Iterator[object]:
    for number, one in enumerate(value):
        place = f"{here}.{number}"
        if isinstance(one, dict):
            yield _entry(kind, one, f"{place}.", faults)
        else:
            faults[place] = "an entry is to be an object"


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_Check = tuple[Callable[[object], bool], str]
_TEXT: Final[_Check] = (_is_text, "a text")
_FLAG: Final[_Check] = (lambda value: isinstance(value, bool), "true or false")
_SECONDS: Final[_Check] = (
    lambda value: isinstance(value, int) and not isinstance(value, bool),
    "a whole number of seconds",
)
_KINDS: Final[Mapping[str, _Check]] = {
    "required": _FLAG,
    "repeated": _FLAG,
    "execution_duration": _SECONDS,
    "quote": _SECONDS,
}
_TYPES: Final = tuple(one.value for one in ParameterType)
_NULL: Final = frozenset({"default", "minimum", "maximum", "execution_duration", "quote"})


def _what(place: str) -> str:
    return {"p": "a parameter", "u": "an input", "g": "a result"}.get(place[:1], "a description")
