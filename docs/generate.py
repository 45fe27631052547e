"""Renew what is made from the sources: the tables of settings in the pages, the codes of `opus
check`, the page of commands (`docs/commands.py`), and the reference for authors of plugins
(`docs/reference.py`).

    .tox/docs/bin/python docs/generate.py

What stands between `<!-- keys: TABLE -->`, or `<!-- codes -->`, and `<!-- end -->` is replaced; the
rest is written by hand. Needs what the tox environment `docs` has: the core and the back ends that
come with it.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from opus_core import checks
from opus_core.config import Config, Selection
from opus_core.finding import Code
from opus_manager_local.options import LocalOptions
from opus_manager_slurm.manager import SlurmManager
from opus_manager_slurm.options import SlurmOptions
from opus_metrics.options import MetricsOptions
from opus_notify.options import NotifyOptions
from opus_storage_postgresql.options import PostgreSQLOptions
from opus_storage_postgresql.storage import PostgreSQLStorage
from opus_storage_sqlite.storage import SQLiteOptions

_DOCS: Final = Path(__file__).parent
PAGES: Final = (
    _DOCS / "configuration.md",
    _DOCS / "admin" / "monitoring.md",
    _DOCS / "admin" / "notifications.md",
    _DOCS / "admin" / "postgresql.md",
    _DOCS / "admin" / "slurm.md",
    _DOCS.parent / "plugins" / "opus_notify" / "README.md",
)

CODES: Final = _DOCS / "admin" / "check.md"
"""The page that has all codes."""

_OF_PLUGINS: Final = (SlurmManager, PostgreSQLStorage)
_BACK_ENDS: Final = {"storage": SQLiteOptions, "manager": LocalOptions}
_OTHERS: Final = {  # that are not in use by default, and extensions
    "plugins.notify": NotifyOptions,
    "manager: slurm": SlurmOptions,
    "storage: postgresql": PostgreSQLOptions,
    "plugins.metrics": MetricsOptions,
}
_BEGIN: Final = re.compile(r"<!-- keys: (?P<table>.*?) -->\n")
_CODES: Final = "<!-- codes -->\n"
_END: Final = "<!-- end -->\n"
_WORDS: Final = {str: "string", int: "integer", float: "number", bool: "true or false"}
_SIZES: Final = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))


def tables() -> dict[str, list[str]]:
    """The rows of each table by its name: `top` for the keys above all tables, `server`, and for
    the back end in use by default `manager: local`."""
    config = Config()
    found = {"top": [*_rows(Config)]}
    for field in dataclasses.fields(Config):
        value = getattr(config, field.name)
        if isinstance(value, Selection):
            found[field.name] = [*_rows(Selection, value)]
            if field.name in _BACK_ENDS:
                found[f"{field.name}: {value.use}"] = [*_rows(_BACK_ENDS[field.name])]
        elif dataclasses.is_dataclass(value):
            found[field.name] = [*_rows(type(value))]
    return found | {name: [*_rows(options)] for name, options in _OTHERS.items()}


def renewed(page: str) -> str:
    """The page with its tables made anew. Raises `KeyError` if there is no such table."""
    known = tables()
    pieces, position = [], 0
    for match in _BEGIN.finditer(page):
        pieces.append(page[position : match.end()])
        pieces += ["\n| key | value | default | meaning |\n", "|---|---|---|---|\n"]
        pieces += [*known[match["table"]], "\n"]
        position = page.index(_END, match.end())
    return "".join([*pieces, page[position:]])


def with_codes(page: str) -> str:
    """The page with the codes made anew."""
    before, begin, rest = page.partition(_CODES)
    _, end, behind = rest.partition(_END)
    return "".join([before, begin, *_code_tables(), "\n", end, behind])


def _code_tables() -> Iterator[str]:
    """A table for each area, below what that says of itself."""
    yield from _code_table("Everywhere", "Of whatever is looked at.", [checks.UNFINISHED])
    for area in checks.AREAS:
        name = area.__name__.rpartition(".")[2]
        yield from _code_table(name, _about(area), checks.codes_of(area))
    for backend in _OF_PLUGINS:
        yield from _code_table(backend.name, f"{backend.about.rstrip('.')}.", backend.codes)


def _about(area: types.ModuleType) -> str:
    """The first sentence of a module's docstring."""
    return " ".join((area.__doc__ or "").partition("\n\n")[0].split())


def _code_table(name: str, about: str, codes: Iterable[Code]) -> Iterator[str]:
    yield f"\n### {name.capitalize()}\n\n{about[0].upper()}{about[1:]}\n\n"
    yield "| code | state | what is wrong | the way out |\n|---|---|---|---|\n"
    for code in codes:
        yield f"| `{code.name}` | {code.state} | {code.cause} | {code.way_out} |\n"


def _rows(table: type[Any], instance: object = None) -> Iterator[str]:
    hints = typing.get_type_hints(table)
    for field in dataclasses.fields(table):
        sentence = field.metadata.get("help")
        if sentence is None:
            continue
        default = field.default if instance is None else getattr(instance, field.name)
        cells = (
            f"`{field.name}`",
            _value(hints[field.name], field),
            _default(default, field),
            f"{sentence[0].upper()}{sentence[1:].rstrip('.')}.",
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _value(hint: Any, field: dataclasses.Field[Any]) -> str:  # noqa: ANN401 - any annotation
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple:
        return "list of strings"
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(f"`{_quoted(one)}`" for one in typing.get_args(hint))
    if isinstance(typing.get_origin(hint), type) and issubclass(typing.get_origin(hint), Mapping):
        return "table of strings"
    if hint is Path:
        return "path"
    unit = field.metadata.get("unit")
    word = {"bytes": "bytes", "seconds": "seconds"}.get(unit or "", _WORDS.get(hint, str(hint)))
    least, most = field.metadata.get("least"), field.metadata.get("most")
    if most is not None:
        return f"{word}, {least or 0} to {most}"
    return f"{word}, at least {least}" if least else word


def _default(value: object, field: dataclasses.Field[Any]) -> str:
    # A folder that depends on where the file lies is told by the sentence.
    if value is None or value is dataclasses.MISSING or field.name == "data_dir":
        return "absent"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(_quoted, value))}]`"
    if field.metadata.get("unit") == "bytes" and isinstance(value, int):
        for name, size in _SIZES:
            if value >= size and value % size == 0:
                return f'`"{value // size} {name}"`'
    return f"`{value}`" if isinstance(value, (int, float)) else f"`{_quoted(value)}`"


def _quoted(value: object) -> str:
    return f'"{value}"'


def shown(page: str) -> list[str]:
    """The names of the tables that a page has."""
    return [match["table"] for match in _BEGIN.finditer(page)]


if __name__ == "__main__":
    # These lie beside this file.
    import commands
    import reference

    for page in PAGES:
        page.write_text(renewed(page.read_text()))
        print(f"{page} is up to date")
    CODES.write_text(with_codes(CODES.read_text()))
    print(f"{CODES} is up to date")
    for made in (commands, reference):
        made.PAGE.write_text(made.page())
        print(f"{made.PAGE} is up to date")
