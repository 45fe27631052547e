"""The folder of a plugin that is yet to be written: it builds, installs and is found; its tests say
what is missing.

stubs      the methods that have to be written, with their promises      templates/  all other text
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import jinja2

from opus_core import __version__, hookspecs
from opus_core.backends import Jdl, Manager, Storage
from opus_core.errors import BadRequest
from opus_core.extensions import Extension
from opus_core.skeleton.stubs import Stub, abstract_methods, door, hook_method, import_lines

__all__ = ["KINDS", "Kind", "Skeleton"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of plugin that can be begun."""

    offers: str  # as `opus_register_...` says it
    base: type[Any]
    suffix: str  # of the class
    hook: str = ""  # of an extension, which has no methods that it must have

    def stubs(self) -> list[Stub]:
        """What its author has to write."""
        if self.hook:
            return [hook_method(getattr(hookspecs, self.hook))]
        return abstract_methods(self.base)


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "storage": Kind(offers="storage", base=Storage, suffix="Storage"),
        "manager": Kind(offers="manager", base=Manager, suffix="Manager"),
        "jdl": Kind(offers="jdl", base=Jdl, suffix="Jdl"),
        "auth": Kind(
            offers="extension",
            base=Extension,
            suffix="Auth",
            hook="opus_authenticate",
        ),
        "observer": Kind(
            offers="extension",
            base=Extension,
            suffix="Observer",
            hook="opus_job_phase_changed",
        ),
    }
)

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST: Final = 40
_IN_OPTIONS: Final = {("dataclass", "dataclasses"), ("field", "dataclasses")}


class Skeleton:
    """A plugin of one kind and name."""

    def __init__(self, kind: str, name: str) -> None:
        """Raises `BadRequest` for a name that no configuration could select."""
        if not _NAME.fullmatch(name) or keyword.iskeyword(name) or len(name) > _LONGEST:
            raise BadRequest(
                f"{name!r} cannot be the name of a plugin: lower case letters and digits, words"
                f" joined by _, at most {_LONGEST} characters, and no word of Python's own"
            )
        self.kind, self.name = kind, name
        self.package = f"opus_{kind}_{name}"
        self.distribution = self.package.replace("_", "-")
        camel = "".join(word.title() for word in name.split("_"))
        self.class_name = f"{camel}{KINDS[kind].suffix}"
        self.options_name = f"{camel}Options"

    def files(self) -> Iterator[tuple[str, str]]:
        """Each file as (path below the folder, text)."""
        package = f"src/{self.package}"
        yield "pyproject.toml", self._render("pyproject.toml")
        yield "README.md", self._render("README.md")
        yield f"{package}/__init__.py", f'"""{self._render("about")}."""\n'
        yield f"{package}/py.typed", ""
        yield f"{package}/plugin.py", self._render("plugin.py")
        yield f"{package}/{self.kind}.py", self._render("class.py")
        yield "tests/test_contract.py", self._render(f"test_{self.kind}.py")
        yield "tests/opus.toml", self._render("opus.toml")
        if self.kind == "auth":
            yield "tests/key", "secret\n"

    def write(self, parent: Path) -> Path:
        """Make the folder below `parent`. Raises `BadRequest` if there is one of that name."""
        folder = parent / self.package
        texts = list(self.files())
        try:
            folder.mkdir(parents=True)
        except FileExistsError as error:
            raise BadRequest(
                f"{folder} is there already; choose another name or another --folder"
            ) from error
        for path, text in texts:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        return folder

    def _render(self, template: str) -> str:
        return _ENVIRONMENT.get_template(f"{template}.j2").render(self._words())

    def _words(self) -> dict[str, Any]:
        kind = KINDS[self.kind]
        stubs = kind.stubs()
        base_module = door(kind.base.__module__)
        needs = {pair for stub in stubs for pair in stub.needs.items()}
        needs |= {(kind.base.__name__, base_module)}
        if kind.hook:
            needs |= {("hookimpl", "opus_core")}
        if self.kind != "jdl":
            needs |= _IN_OPTIONS
        if self.kind in ("storage", "auth"):
            needs |= {("Path", "pathlib")}
        return {
            "kind": self.kind,
            "name": self.name,
            "package": self.package,
            "distribution": self.distribution,
            "class_name": self.class_name,
            "options_name": self.options_name,
            "offers": kind.offers,
            "base": kind.base.__name__,
            "base_module": base_module,
            "stubs": stubs,
            "imports": import_lines(needs),
            "table": f"plugins.{self.name}" if kind.hook else kind.offers,
            "core": __version__,
        }


_ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("opus_core.skeleton"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701  these are no pages
)
