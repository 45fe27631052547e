"""Texts as they come with a request: short ones into memory, long ones to where files are kept.

So no job is large in memory or in a storage, and no document that shows it, however much text it
was given: a text that is a file is shown by reference and sent piece by piece.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final, Protocol, TypeAlias

from opus_core.errors import BadRequest, TooLarge
from opus_core.job import LONG_TEXT, Upload
from opus_core.values import fits_uri, shown

LONGEST: Final = 65536
"""A text of more bytes is kept as a file."""

_MANY: Final = 200
_TOGETHER: Final = 2**20  # [byte] of one request that are kept in memory
_SHARE: Final = 8  # a text takes no larger part of what is left of that, so that others find room
_SHORT: Final = 128  # [byte]; such a text needs none: what is kept of a file is not shorter
_MOST_FILES: Final = 1000  # of one request; each has to reach the disk by itself
_SHOWN: Final = 100  # characters, for a sentence about the text


def are_many(texts: int, size: int) -> bool:
    """Whether so many texts, or texts of so many bytes together, take much memory: what is made of
    them, until they are stored or shown, takes some ten times as much."""
    return texts > _MANY or size > LONGEST


class Store(Protocol):
    """Keeps one file: reads `chunks` to their end, writes and hashes them. What it raises ends
    the reading of the form; whoever gave it removes what was stored until then."""

    def __call__(self, chunks: Iterator[bytes], *, name: str, media_type: str) -> Upload: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LongText:
    """A text that is kept as a file. It is UTF-8, and there is no NUL in it."""

    upload: Upload
    beginning: str
    fits_uri: bool  # nothing is in it that no URI has


Text: TypeAlias = str | LongText


class Texts:
    """Takes the texts of one request, one after the other; without a store all into memory."""

    def __init__(self, store: Store | None = None) -> None:
        self._store = store
        self._files = 0
        self.kept = 0
        """What was taken into memory [byte]."""

    def take(self, name: str, pieces: Iterator[bytes]) -> Text:
        """Read the pieces of the field of that name to their end.

        Raises `BadRequest` if they are not UTF-8, `TooLarge` where too many texts would be files,
        and whatever the store raises.
        """
        most = max(_SHORT, min(LONGEST, (_TOGETHER - self.kept) // _SHARE))
        data = bytearray()
        for piece in pieces:
            data += piece
            if self._store is not None and len(data) > most:
                return self._long(name, self._store, chain((bytes(data),), pieces))
        self.kept += len(data)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise not_utf8(name) from error

    def _long(self, name: str, store: Store, pieces: Iterator[bytes]) -> LongText:
        self._files += 1
        if self._files > _MOST_FILES:
            raise TooLarge(
                f"more than {_MOST_FILES} of the texts are too long to be kept beside the others;"
                " send them as a file"
            )
        look = _Look(name)
        upload = store(look.through(pieces), name=name, media_type=LONG_TEXT)
        # A text has no file name.
        return LongText(
            upload=replace(upload, name=""), beginning=look.beginning, fits_uri=look.fits_uri
        )


class _Look:
    """Finds out about a text while it goes by."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.beginning = ""
        self.fits_uri = True

    def through(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for piece in pieces:
                self._at(decoder.decode(piece))
                yield piece
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise not_utf8(self._name) from error

    def _at(self, text: str) -> None:
        if "\0" in text:
            raise BadRequest(
                f"{self._name} has a character in it that no text can hold; send a file"
            )
        if len(self.beginning) < _SHOWN:
            self.beginning = (self.beginning + text[:_SHOWN])[:_SHOWN]
        self.fits_uri = self.fits_uri and fits_uri(text)


def not_utf8(name: str) -> BadRequest:
    """The error of a field whose value, or name, is in another encoding."""
    return BadRequest(f"the field {shown(name)} is not UTF-8; send it in UTF-8, or as a file")
