"""Raise the version of everything at once: `make version VERSION=0.2.0`.

All distributions have one version. A number stands in each pyproject.toml, in what the server tells
of itself, in what the distributions ask of each other, and in what the pages show: all move here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from release.parts import CHECKOUT, Refused, parts, version

CHANGELOG: Final = CHECKOUT / "CHANGELOG.md"
UNRELEASED: Final = "Unreleased"

_NUMBER: Final = r"\d+\.\d+\.\d+(?:\.dev\d+)?"
_SHAPE: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:\.dev(\d+))?")
_COLUMN: Final = len("VERSION")  # of the tables that `opus plugins` prints

# In each, the version is what stands between the first group and the second one.
_TOML: Final = rf'(^version = "){_NUMBER}(")'
_PYTHON: Final = rf'(^__version__ = "){_NUMBER}(")'
_YAML: Final = rf"(^info:\n(?:  .*\n)*?  version: ){_NUMBER}($)"
_JSON: Final = rf'(\A\{{\n(?: .*\n)*? *"version": "){_NUMBER}(")'
_PIN: Final = rf"(\bopus-[a-z-]+~=){_NUMBER}(\b)"


def places() -> Iterator[tuple[Path, str]]:
    """Where the version stands: a file, and the pattern for it. One that must be there."""
    core = CHECKOUT / "opus_core/src/opus_core"
    for folder in (CHECKOUT, *(part.folder for part in parts())):
        yield folder / "pyproject.toml", _TOML
    yield core / "__init__.py", _PYTHON
    yield core / "render/static/openapi.yaml", _YAML
    yield core / "render/static/openapi.json", _JSON
    yield core / "client/uwslib/package.json", _JSON


def mentions() -> Iterator[tuple[Path, str]]:
    """Where it may stand any number of times: requirements, and tables on pages."""
    names = "|".join(part.name for part in parts())
    found = (CHECKOUT / "docs").rglob("*.md")
    pages = sorted(page for page in found if "_build" not in page.parts)  # what was made of them
    for file in (*(part.folder / "pyproject.toml" for part in parts()), *pages):
        yield file, _PIN
    for file in sorted((CHECKOUT / "docs").rglob("pyproject.toml")):
        yield file, _PIN
    for file in pages:
        yield file, rf"(^\w+ +(?:{names}) +){_NUMBER}( +)"


def out_of_step() -> Iterator[str]:
    """A sentence for each place that has another version than the whole, or none."""
    now = version()
    for file, pattern in (*places(), *mentions()):
        found = list(re.finditer(pattern, file.read_text(), re.MULTILINE))
        if not found and (file, pattern) in places():
            yield f"{file.relative_to(CHECKOUT)} has no version where one was"
        for match in found:
            if (one := match[0][len(match[1]) : -len(match[2]) or None]) != now:
                yield f"{file.relative_to(CHECKOUT)} has version {one}, the whole has {now}"


def move(new: str) -> list[Path]:
    """Raise all to `new`, and give what CHANGELOG lists as unreleased that name if it is a release.
    Answers the files that changed. Raises `Refused`."""
    now = version()
    if _SHAPE.fullmatch(new) is None:
        raise Refused(f"{new!r} is no version: it is X.Y.Z, or X.Y.Z.devN on the way there")
    if _order(new) < _order(now):
        raise Refused(f"{new} comes before {now}, which it is now; a version only grows")
    texts = {CHANGELOG: _headed(CHANGELOG.read_text(), new)}
    for file, pattern in (*places(), *mentions()):
        text = texts.get(file) or file.read_text()
        texts[file] = re.sub(pattern, lambda match: _with(match, new), text, flags=re.MULTILINE)
    changed = [file for file, text in texts.items() if text != file.read_text()]
    if not changed:
        raise Refused(f"everything has version {new} already")
    for file in changed:
        file.write_text(texts[file])
    return changed


def sections() -> dict[str, str]:
    """What CHANGELOG lists, by version, newest first; without the headings."""
    pieces = re.split(r"^## \[(.+?)\].*\n", CHANGELOG.read_text(), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], map(str.strip, pieces[2::2]), strict=True))


def _order(text: str) -> tuple[float, ...]:
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise Refused(f"the version is {text!r} now, which is none")
    return tuple(float("inf" if part is None else part) for part in found.groups())


def _with(match: re.Match[str], new: str) -> str:
    before, behind = match.groups()
    if behind.isspace():  # a column: it stays as wide as the command makes it
        behind = " " * (max(_COLUMN, len(new)) + 2 - len(new))
    return f"{before}{new}{behind}"


def _headed(text: str, new: str) -> str:
    if ".dev" in new or f"## [{new}]" in text:
        return text
    unreleased = f"## [{UNRELEASED}]\n"
    if unreleased not in text:
        raise Refused(f"CHANGELOG.md has no section [{UNRELEASED}] to become {new}")
    if not sections().get(UNRELEASED):
        raise Refused(f"CHANGELOG.md lists nothing under [{UNRELEASED}]; say what {new} brings")
    today = datetime.now(UTC).date()
    return text.replace(unreleased, f"{unreleased}\n## [{new}] - {today}\n", 1)


def main(arguments: Sequence[str]) -> int:
    try:
        if len(arguments) != 1 or not arguments[0]:
            raise Refused(f"say which: make version VERSION=X.Y.Z; it is {version()} now")
        changed = move(arguments[0])
    except Refused as refused:
        print(f"version: {refused}", file=sys.stderr)
        return 1
    for file in changed:
        print(file.relative_to(CHECKOUT))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
