"""The fields of a form for a new job, made from its description."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from opus_core.definition import (
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
)

_INTEGERS: Final = {
    ParameterType.BYTE,
    ParameterType.SHORT,
    ParameterType.INT,
    ParameterType.LONG,
}
_REALS: Final = {ParameterType.FLOAT, ParameterType.DOUBLE}
# What <input type=number> takes (HTML standard, "valid floating-point number").
_NUMBER: Final = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})
_ONE: Final = frozenset({"", "0", "1", "0..1", "1..1"})
_SPARE: Final = 2  # empty fields for further values of a parameter that may have several


class Kind(StrEnum):
    """How a field is shown."""

    TEXT = "text"
    LONG_TEXT = "long text"
    INTEGER = "integer"
    REAL = "real"
    CHOICE = "choice"
    CHOICES = "choices"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field, with the values it shows at first."""

    name: str
    kind: Kind
    values: tuple[str, ...]
    help: str = ""
    hint: str = ""
    unit: str = ""
    required: bool = False
    several: bool = False
    options: tuple[Option, ...] = ()
    minimum: str | None = None
    maximum: str | None = None
    accept: str = ""  # the media type of a file
    hosts: str = ""  # of a file: from where it may be fetched, in words; empty: from nowhere
    fault: str = ""  # what is wrong with what was given

    @property
    def value(self) -> str:
        """The value of a field that has one."""
        return self.values[0] if self.values else ""


def fields(
    definition: JobDefinition,
    given: Iterable[tuple[str, str]],
    hosts: Sequence[str],
    faults: Mapping[str, str],
) -> list[Field]:
    """A field for each input; `given` values come before defaults, and the addresses of files among
    them count where there are `hosts` to fetch from. `faults`: what is wrong, by name."""
    pairs = list(given)
    found = [
        _file(entry, _of(pairs, entry.name), hosts)
        if isinstance(entry, UsedDescription)
        else _field(entry, _of(pairs, entry.name))
        for entry in definition.inputs()
    ]
    return [replace(one, fault=faults.get(one.name, "")) for one in found]


def option_fields(
    options: Sequence[ParameterDescription],
    definition: JobDefinition,
    given: Iterable[tuple[str, str]],
    faults: Mapping[str, str],
) -> list[Field]:
    """A field for each option of the manager that the description has not set."""
    pairs = list(given)
    return [
        replace(_field(one, _of(pairs, one.name)), fault=faults.get(one.name, ""))
        for one in options
        if one.name not in definition.options and definition.find(one.name) is None
    ]


def _of(pairs: Sequence[tuple[str, str]], name: str) -> tuple[str, ...]:
    return tuple(value for key, value in pairs if key.casefold() == name.casefold())


def _field(entry: ParameterDescription, given: tuple[str, ...]) -> Field:
    values = given or ((entry.default,) if entry.default is not None else ())
    kind, options = _kind(entry, values), entry.options
    if entry.type is ParameterType.BOOLEAN and not options:
        kind = Kind.CHOICES if entry.repeated else Kind.CHOICE
        options = (Option(value="true"), Option(value="false"))
        values = tuple(_boolean(value) for value in values)
    if entry.repeated and kind is not Kind.CHOICES:
        values = (*values, *("",) * _SPARE)
    if kind is Kind.CHOICE:
        # What is no choice is shown all the same: the server says what is wrong with it.
        known = {option.value for option in options}
        options = (*options, *(Option(value=v) for v in values[:1] if v and v not in known))
    return Field(
        name=entry.name,
        kind=kind,
        values=values,
        help=entry.description,
        hint=_hint(entry),
        unit=entry.unit,
        required=entry.required,
        several=entry.repeated,
        options=options,
        minimum=entry.minimum,
        maximum=entry.maximum,
    )


def _file(entry: UsedDescription, given: tuple[str, ...], hosts: Sequence[str]) -> Field:
    several = entry.multiplicity.strip() not in _ONE
    return Field(
        name=entry.name,
        kind=Kind.FILE,
        values=given if hosts else (),
        help=entry.description,
        hint=entry.content_type,
        hosts=_words(hosts),
        required=entry.required,
        several=several,
    )


def _words(hosts: Sequence[str]) -> str:
    return "any public address" if "public" in hosts else ", ".join(hosts)


def _kind(entry: ParameterDescription, values: Sequence[str]) -> Kind:
    if entry.options:
        return Kind.CHOICES if entry.repeated else Kind.CHOICE
    shown = [*values, entry.minimum or "0", entry.maximum or "0"]
    if all(_NUMBER.fullmatch(value) for value in shown):
        if entry.type in _INTEGERS:
            return Kind.INTEGER
        if entry.type in _REALS:
            return Kind.REAL
    return Kind.LONG_TEXT if any("\n" in value for value in values) else Kind.TEXT


def _boolean(text: str) -> str:
    word = text.strip().casefold()
    if word in _TRUE:
        return "true"
    return "false" if word in _FALSE else text


def _hint(entry: ParameterDescription) -> str:
    """What a legal value is, in words."""
    if entry.options or entry.type is ParameterType.BOOLEAN:
        return ""
    words = {
        ParameterType.STRING: "",
        ParameterType.DATETIME: "date and time in UTC, such as 2031-12-24T18:30:00Z",
        ParameterType.ANYURI: "a URI",
        **dict.fromkeys(_INTEGERS, "whole number"),
        **dict.fromkeys(_REALS, "number"),
    }[entry.type]
    limits = {
        (True, True): f"from {entry.minimum} to {entry.maximum}",
        (True, False): f"{entry.minimum} or more",
        (False, True): f"{entry.maximum} or less",
        (False, False): "",
    }[entry.minimum is not None, entry.maximum is not None]
    return ", ".join(filter(None, (words, limits)))
