"""Make a frozen dataclass of options from a table of a TOML file, or say what is wrong with it.

The sections of `opus.toml` and the `Options` of every back end are filled by the same rules.
What the documentation and `opus init` say of a key stands in its field's `metadata`, all of it
optional:

    help   one sentence for the admin; what an absent key means, where None stands for that
    unit   "bytes": may be written as "2 GiB"; "seconds": may be written as "36 h"
    least  the smallest legal number
    most   the largest

What a class asks for beyond that it says by a `ValueError` with a sentence in `__post_init__`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

from opus_core.errors import ConfigError

T = TypeVar("T")

_UNITS: Final = {
    "bytes": {"B": 1}
    | {f"{prefix}B": 1000**n for n, prefix in enumerate(("k", "M", "G", "T"), 1)}
    | {f"{prefix}iB": 1024**n for n, prefix in enumerate(("K", "M", "G", "T"), 1)},
    "seconds": {"s": 1, "min": 60, "h": 3600, "d": 86400},
}
_WORDS: Final = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    Path: "a path, as a string",
}


def fill(
    options_class: type[T],
    table: Mapping[str, Any],
    *,
    where: str,
    base: Path,
    data_dir: Path,
) -> T:
    """An instance of `options_class` with the values of `table`.

    Fields are of type str, int, float, bool, Path, a Literal of strings, a tuple of str or a
    string-keyed mapping of str, each also with `| None`. A field without default is required.
    A path in the table is taken from the folder `base`, a relative default from `data_dir`; `~`
    is the home folder. `where` begins every sentence: `opus.toml: [manager]`.

    Raises `ConfigError` for a key that is unknown or missing, a value of a wrong type or out of
    range, and for what the class itself refuses.
    """
    values = read(options_class, table, where=where, base=base, data_dir=data_dir)
    try:
        return options_class(**values)
    except ValueError as error:
        raise ConfigError(f"{where} {error}") from error


def read(
    options_class: type[Any],
    table: Mapping[str, Any],
    *,
    where: str,
    base: Path,
    data_dir: Path,
    keys: Collection[str] = (),
) -> dict[str, Any]:
    """The arguments for `options_class`, as `fill` passes them; of `keys` alone, if given."""
    fields = {
        field.name: field
        for field in dataclasses.fields(options_class)
        if field.init and (not keys or field.name in keys)
    }
    for key in table:
        if key not in fields:
            raise ConfigError(f"{where} {_unknown(key, fields)}")
    hints = typing.get_type_hints(options_class)
    values: dict[str, Any] = {}
    for key, field in fields.items():
        if key in table:
            values[key] = _value(hints[key], table[key], field.metadata, f"{where} {key}", base)
            continue
        default = _default(field)
        if default is dataclasses.MISSING:
            help_ = field.metadata.get("help")
            raise ConfigError(f"{where} needs the key {key}" + (f": {help_}" if help_ else ""))
        values[key] = data_dir / default if isinstance(default, Path) else default
    return values


def required(options_class: type[Any]) -> tuple[str, ...]:
    """The keys without which `fill` makes no instance."""
    fields = dataclasses.fields(options_class)
    return tuple(one.name for one in fields if one.init and _default(one) is dataclasses.MISSING)


def fault(options_class: object) -> str | None:
    """Why `fill` cannot make instances of this class; None if it can."""
    if not isinstance(options_class, type) or not dataclasses.is_dataclass(options_class):
        return "Options is not a dataclass"
    if not options_class.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return "Options is not frozen; write @dataclass(frozen=True, kw_only=True)"
    try:
        hints = typing.get_type_hints(options_class)
    except Exception as error:
        return f"the types of Options cannot be read: {type(error).__name__}: {error}"
    for field in dataclasses.fields(options_class):
        hint = _some(hints[field.name])
        if field.init and hint not in _WORDS and not _choices(hint) and not _container(hint):
            return f"Options.{field.name} is of a type that no table can fill: {field.type}"
    return None


def nearest(word: str, legal: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing where nothing is near, whatever the case of both."""
    spelt = {one.lower(): one for one in legal}
    near = difflib.get_close_matches(word.lower(), sorted(spelt), n=1, cutoff=0.6)
    return f"; did you mean {spelt[near[0]]}?" if near else ""


def choice(word: str, legal: Collection[str]) -> str:
    """What a sentence about an unknown word ends with: the nearest legal word, and all of them."""
    near = nearest(word, legal)
    return (f"{near} Legal: " if near else "; legal: ") + ", ".join(legal)


def shown(value: object) -> str:
    """A value of a TOML file as a sentence shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    text = repr(value) if isinstance(value, (str, int, float)) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _unknown(key: str, legal: Collection[str]) -> str:
    if f"{key}_file" in legal:
        return f"has no key {key}: a secret does not stand here; name a file in {key}_file"
    if not legal:
        return f"has no key {key}; it has none at all"
    return f"has no key {key}{choice(key, legal)}"


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _some(hint: Any) -> Any:  # noqa: ANN401 - typing has no name for what annotations may be
    """The type without `| None`."""
    if typing.get_origin(hint) not in (types.UnionType, typing.Union):
        return hint
    rest = [part for part in typing.get_args(hint) if part is not type(None)]
    return rest[0] if len(rest) == 1 else hint


def _choices(hint: object) -> tuple[str, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def _container(hint: object) -> type[tuple[Any, ...]] | type[Mapping[Any, Any]] | None:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and arguments == (str, ...):
        return tuple
    if isinstance(origin, type) and issubclass(origin, Mapping) and arguments == (str, str):
        return Mapping
    return None


def _value(
    hint: Any,  # noqa: ANN401
    value: object,
    metadata: Mapping[str, Any],
    where: str,
    base: Path,
) -> object:
    hint = _some(hint)
    container = _container(hint)
    if container is tuple:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f'{where} must be a list of strings, such as ["a", "b"]')
        return tuple(value)
    if container is Mapping:
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise ConfigError(f"{where} must be a table of strings")
        return MappingProxyType(dict(value))
    if choices := _choices(hint):
        if value not in choices:
            legal = " or ".join(map(repr, choices))
            raise ConfigError(f"{where} must be {legal}, not {shown(value)}")
        return value
    return _scalar(hint, value, metadata, where, base)


def _scalar(
    hint: type[Any], value: object, metadata: Mapping[str, Any], where: str, base: Path
) -> object:
    if hint in (int, float):
        return _number(hint, value, metadata, where)
    if not isinstance(value, str if hint is Path else hint):
        raise ConfigError(f"{where} must be {_WORDS[hint]}, not {shown(value)}")
    if hint is not Path:
        return value
    if not value or "\0" in value:
        raise ConfigError(f"{where} must be {_WORDS[hint]}, not {shown(value)}")
    try:
        return base / Path(value).expanduser()
    except RuntimeError as error:  # there is no such user
        raise ConfigError(f"{where} = {shown(value)}: {error}") from error


def _number(
    kind: type[int] | type[float], value: object, metadata: Mapping[str, Any], where: str
) -> int | float:
    units = _UNITS.get(metadata.get("unit", ""), {})
    number: Any = _measured(value, units) if units and isinstance(value, str) else value
    whole = isinstance(number, int) and not isinstance(number, bool)
    if not whole and not (kind is float and isinstance(number, float) and math.isfinite(number)):
        words = _WORDS[int if kind is int else float]
        also = f' or a string such as "2 {list(units)[-2]}"' if units else ""
        raise ConfigError(f"{where} must be {words}{also}, not {shown(value)}")
    least, most = metadata.get("least"), metadata.get("most")
    if least is not None and number < least:
        raise ConfigError(f"{where} must be at least {least}, not {shown(value)}")
    if most is not None and number > most:
        raise ConfigError(f"{where} must be at most {most}, not {shown(value)}")
    return kind(number)


def _measured(text: str, units: Mapping[str, int]) -> int | None:
    match = re.fullmatch(r"\s*([0-9]{1,15})\s*([A-Za-z]+)\s*", text)
    if not match or match[2] not in units:
        return None
    return int(match[1]) * units[match[2]]
