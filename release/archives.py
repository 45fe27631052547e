"""What is in a wheel or in an sdist: the sources, metadata, and nothing of the machine."""

from __future__ import annotations

import re
import socket
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Final

from release.parts import CHECKOUT, Part, git

EXAMPLES: Final = CHECKOUT / "examples"
_CORE: Final = "opus_core"  # the examples are in its archives, too
_LEFT: Final = frozenset({"__pycache__", ".ruff_cache", ".mypy_cache", ".pytest_cache"})
# Of the page of a distribution that an index shows, which has no folders around it.
_RELATIVE: Final = re.compile(r"\]\((?!https?://|#|mailto:)([^)\s]+)\)")


def wrong_in_wheel(part: Part, file: Path) -> Iterator[str]:
    """A sentence for each thing that is wrong."""
    with zipfile.ZipFile(file) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    metadata = f"{part.stem}.dist-info"
    expected = {f"{part.package}/{name}" for name in tracked(part.folder / "src" / part.package)}
    expected |= {f"{metadata}/{name}" for name in ("METADATA", "WHEEL", "RECORD")}
    expected |= {f"{metadata}/licenses/LICENSE", f"{part.package}/py.typed"}
    if {"scripts", "entry-points"} & part.project.keys():
        expected.add(f"{metadata}/entry_points.txt")
    if part.package == _CORE:
        expected |= {f"{part.package}/examples/{name}" for name in tracked(EXAMPLES)}
    yield from _wrong(file.name, found, expected)
    yield from _wrong_metadata(part, file.name, found.get(f"{metadata}/METADATA", b""))
    if found.get(f"{metadata}/licenses/LICENSE") != (CHECKOUT / "LICENSE").read_bytes():
        yield f"{file.name} does not carry the LICENSE of the checkout"


def wrong_in_sdist(part: Part, file: Path) -> Iterator[str]:
    """A sentence for each thing that is wrong."""
    with tarfile.open(file) as archive:
        members = archive.getmembers()
        found = {one.name: _read(archive, one) for one in members if one.isfile()}
    yield from (f"{file.name} has {one.name}, no file" for one in members if not one.isfile())
    # .gitignore comes from hatchling, which leaves out of a wheel what git leaves out, too.
    expected = {f"{part.stem}/{name}" for name in (*tracked(part.folder), "PKG-INFO", ".gitignore")}
    if part.package == _CORE:
        expected |= {f"{part.stem}/examples/{name}" for name in tracked(EXAMPLES)}
    yield from _wrong(file.name, found, expected)
    yield from _wrong_metadata(part, file.name, found.get(f"{part.stem}/PKG-INFO", b""))


def tracked(folder: Path) -> set[str]:
    """The files of the checkout below a folder, as git has them; without git, as they lie here."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", str(folder))
    if listed is not None:
        there = (CHECKOUT / name for name in listed.split("\0") if name)
    else:
        there = (file for file in folder.rglob("*") if not _LEFT & {*file.parts})
    return {str(file.relative_to(folder)) for file in there if file.is_file()}


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = archive.extractfile(member)
    return opened.read() if opened else b""


def _wrong(archive: str, found: Mapping[str, bytes], expected: set[str]) -> Iterator[str]:
    yield from (f"{archive} lacks {name}" for name in sorted(expected - found.keys()))
    yield from (f"{archive} has {name}, too" for name in sorted(found.keys() - expected))
    for name, data in sorted(found.items()):
        for word in _of_this_machine():
            if word.encode() in data:
                yield f"{archive} has {word} in {name}, which is of this machine alone"


def _of_this_machine() -> set[str]:
    """Where this checkout lies, where it was built, and what the machine is called."""
    words = {f"{tempfile.gettempdir()}/build-"}
    if len(CHECKOUT.parts) > 2:  # a folder at the top, such as /opus, may stand in any address
        words.add(str(CHECKOUT))
    if Path.home() != Path("/"):
        words.add(f"{Path.home()}/")
    # One word may be a name like any other, such as "opus" or "localhost".
    name = socket.gethostname()
    return words | ({name} if re.search(r"[.\d-]", name) else set())


def _wrong_metadata(part: Part, archive: str, data: bytes) -> Iterator[str]:
    told: Message = BytesParser().parsebytes(data)
    for field, project in (("Name", "name"), ("Version", "version"), ("Summary", "description")):
        if told[field] != part.project[project]:
            yield f"{archive} has {field} {told[field]}, and not {part.project[project]}"
    for field, expected in (
        ("Requires-Python", part.project["requires-python"]),
        ("License-Expression", "MIT"),
        ("License-File", "LICENSE"),
        ("Description-Content-Type", "text/markdown"),
    ):
        if told[field] != expected:
            yield f"{archive} has {field} {told[field]}, and not {expected}"
    if told.get_all("Classifier", []) != part.project["classifiers"]:
        yield f"{archive} has other classifiers than its pyproject.toml"
    for link in _RELATIVE.findall(str(told.get_payload())):
        yield f"{archive} has a link to {link} in its README, which leads nowhere on an index"
