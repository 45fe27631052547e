"""Job descriptions that somebody is working on: one for each name and author, the last one saved.

NAME/drafts/WHO/N/    the highest N counts; the others are being removed
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from opus_core.below import Below
from opus_core.definition import DEFINITION_NAME, JobDefinition, check_name
from opus_core.errors import Conflict, NotFound, OpusError
from opus_core.facts import about
from opus_core.shelf import Shelf, numbers, read_meta, under, unix

_LONGEST_AUTHOR: Final = 150  # [byte]; a file name has 255
_TRIES: Final = 20  # each lost one means that the same author saved in another window

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A description that somebody is working on."""

    name: str
    author: str
    time: datetime


class Drafts:
    """The drafts of all names under one folder."""

    def __init__(self, folder: Path, shelf: Shelf) -> None:
        self._folder = folder
        self._shelf = shelf

    def save(self, definition: JobDefinition, author: str) -> None:
        """Replace the author's draft of that name; see `Catalogue.save_draft`."""
        check_name(definition.name)
        files = self._shelf.pack(unix(definition), author)
        who = _folder_of(author)
        with Below.make(self._folder) as top, top.made(definition.name, "drafts", who) as folder:
            for _ in range(_TRIES):
                earlier = numbers(folder)
                try:
                    folder.create(str(max(earlier, default=0) + 1), files)
                except Conflict:
                    continue
                for number in earlier:
                    folder.remove(str(number))
                return
        raise Conflict(f"the draft of {definition.name!r} is being saved elsewhere; try again")

    def read(self, name: str, author: str) -> JobDefinition:
        """What `author` last saved under that name. Raises `NotFound`."""
        check_name(name)
        for _ in range(_TRIES):
            with suppress(FileNotFoundError), self._of(name, author) as folder:
                last = max(numbers(folder), default=None)
                if last is None:
                    break
                jdl, bundle = self._shelf.unpack(folder, last, name)
                return under(jdl.loads(bundle.data, bundle.files), name)
        raise NotFound(f"{author!r} has no draft of {name!r}")

    def discard(self, name: str, author: str) -> None:
        """Remove it; nothing happens if it is gone."""
        check_name(name)
        with suppress(FileNotFoundError), self._of(name, author) as folder:
            for number in numbers(folder):
                folder.remove(str(number))

    def all(self) -> list[Draft]:
        """Everybody's, by name and author."""
        with suppress(FileNotFoundError), Below.open(self._folder) as top:
            names = [name for name in top.names() if DEFINITION_NAME.fullmatch(name)]
            found = [draft for name in names for draft in _of_name(top, name)]
            return sorted(found, key=lambda draft: (draft.name, draft.author))
        return []

    def _of(self, name: str, author: str) -> Below:
        with Below.open(self._folder) as top:
            return top.folder(name, "drafts", _folder_of(author))


def _of_name(top: Below, name: str) -> Iterator[Draft]:
    with suppress(FileNotFoundError), top.folder(name, "drafts") as everybody:
        for who in everybody.names():
            try:
                with everybody.folder(who) as folder:
                    for number in numbers(folder)[-1:]:
                        meta = read_meta(folder, number, name)
                        yield Draft(name=name, author=meta.author, time=meta.time)
            except FileNotFoundError:
                continue  # the author saves a newer one while we look
            except OpusError as error:
                log.error(
                    "a draft is left out of the list: %s",
                    error.sentence,
                    extra=about(definition=name),
                )


def _folder_of(author: str) -> str:
    """A folder's name for an author, whatever the name; different ones for different authors."""
    safe = quote(author, safe="", errors="surrogatepass")
    if len(safe) <= _LONGEST_AUTHOR:
        return f"@{safe}"
    return f"~{hashlib.sha256(safe.encode()).hexdigest()}"
