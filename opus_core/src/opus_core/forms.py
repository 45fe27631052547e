"""Read the form of a request: short texts into memory, all else straight to where it is kept.

Three sources, in this order: the query string, then a body that is either
`application/x-www-form-urlencoded` or `multipart/form-data` (UWS 1.1 sections 2.2.3.1 and
2.2.3.1.1; DALI 1.2 asks for both). Nothing here knows what the names mean; that is
`opus_core.validation`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from opus_core.bodies import CHUNK, Body, too_many_fields, urlencoded
from opus_core.errors import BadRequest, TooLarge
from opus_core.job import Upload
from opus_core.texts import Store, Text, Texts, are_many, not_utf8
from opus_core.values import shown

Pairs = tuple[tuple[str, str], ...]
Values = tuple[tuple[str, Text], ...]

_MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")
_ENCODED_FILE_NAME: Final = re.compile(r";\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)
_UTF8: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_LONGEST_REFERENCE: Final = 8192  # [byte]
_REFERENCE: Final = re.compile(rb"param:.*|[a-z][a-z0-9+.-]*://\S*", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_NAMES: Final = 2**20  # [byte] of all text fields, which are kept in memory


class Meaning(Enum):
    """What a part of a multipart body is that has no file name; the name of the part tells."""

    TEXT = auto()
    INPUT = auto()  # of an input file: its content, or a text that says where it is
    STRANGER = auto()  # of nobody: the content of a file that a text refers to


Meanings = Callable[[str], Meaning]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormLimits:
    """How much one request may bring."""

    max_text: int = 16 * 2**20  # [byte] of names and values of all text fields, as UTF-8
    max_fields: int = 10_000  # text fields and files together
    max_file: int = 2 * 2**30  # [byte]
    max_files: int = 1_000
    max_total: int = 4 * 2**30  # [byte] of the whole body


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a request brought, in the order it came; names as the client wrote them."""

    values: Values = ()
    uploads: tuple[tuple[str, Upload], ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over names, values and the files' hashes, in order: equal requests have equal
        ones, however their bodies were encoded."""
        state = hashlib.sha256()
        for kind, text in self._said():
            data = text.encode()
            # The length keeps a=bc and ab=c apart.
            state.update(b"%s%d:" % (kind, len(data)) + data)
        return state.hexdigest()

    def _said(self) -> Iterator[tuple[bytes, str]]:
        for name, value in self.values:
            yield b"v", name
            yield (b"v", value) if isinstance(value, str) else (b"t", value.upload.sha256)
        for name, upload in self.uploads:
            yield b"u", name
            yield b"u", upload.sha256


def _text(name: str) -> Meaning:
    return Meaning.TEXT


def _never() -> None:
    pass


def read_form(
    environ: Mapping[str, Any],
    *,
    store: Store,
    limits: FormLimits,
    meaning: Meanings = _text,
    heavy: Callable[[], None] = _never,
) -> Form:
    """The query string's pairs and the body of a WSGI request.

    `meaning` tells texts from files among the parts without a file name. `heavy` is called once
    if the form turns out to need much memory, before it does.

    Raises `BadRequest` for what is malformed, truncated or of another content type, `TooLarge`
    naming the limit, and whatever `store` raises. A request without a body is a form, too.
    """
    reader = _Reader(limits, store, Texts(store), meaning, heavy)
    reader.add_query(environ)
    body = Body(environ, limits.max_total)
    content_type, options = parse_options_header(str(environ.get("CONTENT_TYPE") or ""))
    if options.get("charset", "utf-8").lower() not in _UTF8:
        raise BadRequest(f"the form is in {shown(options['charset'])}; send it in UTF-8")
    if body.empty:
        pass
    elif content_type == "application/x-www-form-urlencoded":
        reader.add_urlencoded(body)
    elif content_type == "multipart/form-data":
        reader.add_multipart(body, options.get("boundary", ""))
    else:
        sent = f"is {shown(content_type)}" if content_type else "has no Content-Type"
        raise BadRequest(
            f"the body {sent}; send application/x-www-form-urlencoded or multipart/form-data"
        )
    return Form(values=tuple(reader.values), uploads=tuple(reader.uploads))


def read_query(environ: Mapping[str, Any], limits: FormLimits | None = None) -> Pairs:
    """The pairs of a WSGI request's query string; `BadRequest`, `TooLarge` as `read_form`."""
    reader = _Reader(limits or FormLimits(), _refuse, Texts())
    reader.add_query(environ)
    return tuple((name, value) for name, value in reader.values if isinstance(value, str))


def _refuse(chunks: Iterator[bytes], *, name: str, media_type: str) -> Upload:
    raise BadRequest("a file cannot come in a query string")


class _Reader:
    """Collects fields under limits."""

    def __init__(
        self,
        limits: FormLimits,
        store: Store,
        texts: Texts,
        meaning: Meanings = _text,
        heavy: Callable[[], None] = _never,
    ) -> None:
        self.values: list[tuple[str, Text]] = []
        self.uploads: list[tuple[str, Upload]] = []
        self._limits = limits
        self._store = store
        self._texts = texts
        self._meaning = meaning
        self._heavy = heavy
        self._text = 0
        self._names = 0
        self._fields = 0

    def add_query(self, environ: Mapping[str, Any]) -> None:
        query = str(environ.get("QUERY_STRING") or "")
        if not query:
            return
        try:
            text = query.encode("latin-1")  # PEP 3333
        except UnicodeEncodeError as error:
            raise BadRequest("the query string is not percent-encoded") from error
        self.add_urlencoded([text])

    def add_urlencoded(self, chunks: Iterable[bytes]) -> None:
        longest = min(_LONGEST_NAMES, self._limits.max_text)
        for name, payload in urlencoded(chunks, most=self._limits.max_fields, longest=longest):
            self._add_text(name, payload)

    def add_multipart(self, body: Body, boundary: str) -> None:
        if not boundary:
            raise BadRequest("the Content-Type of the body names no boundary")
        events = self._events(body, boundary)
        for segment in events:
            if not isinstance(segment, MultipartSegment):
                continue  # what a store left unread of its part
            if not segment.name:
                raise BadRequest("a part of the body has no name")
            file_name = _file_name(segment)
            payload = _payload(events)
            if file_name is not None:
                self._add_file(segment, file_name, payload)
                continue
            meaning = self._meaning(segment.name)
            if meaning is Meaning.INPUT:
                payload, is_text = _says_where(segment, payload)
                meaning = Meaning.TEXT if is_text else Meaning.INPUT
            if meaning is Meaning.TEXT:
                self._add_part(segment, payload)
            else:
                self._add_file(segment, "", payload, chosen=True)

    def _events(self, body: Body, boundary: str) -> Iterator[MultipartSegment | bytes | None]:
        """The parser's events, its errors in our words: a store passes through only those."""
        try:
            parser = PushMultipartParser(boundary, max_segment_count=self._limits.max_fields + 1)
            yield from parser.parse_blocking(body.read, CHUNK)
        except ParserLimitReached as error:
            raise TooLarge(f"the multipart body has too much in it: {error}") from error
        except (MultipartError, UnicodeError) as error:
            raise BadRequest(f"the multipart body is malformed or incomplete: {error}") from error

    def _add_part(self, segment: MultipartSegment, payload: Iterator[bytes]) -> None:
        charset = (segment.charset or "utf-8").lower()
        if charset not in _UTF8:
            raise BadRequest(
                f"the field {shown(segment.name)} is in {shown(charset)}; send it in UTF-8"
            )
        self._add_text(segment.name.encode(), payload)

    def _add_text(self, name: bytes | bytearray, payload: Iterator[bytes]) -> None:
        self._count()
        self._names += len(name)
        if self._names > _LONGEST_NAMES:
            raise TooLarge(
                f"the names of the text fields have more than {_LONGEST_NAMES} bytes together, the"
                " most taken here"
            )
        try:
            text = name.decode()
        except UnicodeDecodeError as error:
            raise not_utf8(name.decode("utf-8", "replace")) from error
        self._text += len(name)
        self.values.append((text, self._texts.take(text, self._counted(payload))))
        if are_many(len(self.values), self._texts.kept):
            heavy, self._heavy = self._heavy, _never
            heavy()

    def _counted(self, payload: Iterator[bytes]) -> Iterator[bytes]:
        for piece in chain((b"",), payload):  # there may be too much text before
            self._text += len(piece)
            if self._text > self._limits.max_text:
                raise TooLarge(
                    f"the text fields have more than {self._limits.max_text} bytes together, the"
                    " most taken here; send long texts as files"
                )
            yield piece

    def _add_file(
        self,
        segment: MultipartSegment,
        file_name: str,
        payload: Iterator[bytes],
        *,
        chosen: bool = False,
    ) -> None:
        first = next(payload, b"")
        if not (file_name or first or chosen):
            return  # a browser's file field in which nothing was chosen
        if _CONTROL.search(file_name):
            raise BadRequest(
                f"the file name {shown(file_name)} has control characters in it; rename the file"
            )
        self._count()
        if len(self.uploads) >= self._limits.max_files:
            raise TooLarge(f"more than {self._limits.max_files} files, the most taken at once")
        media_type = segment.content_type or ""
        if not _MEDIA_TYPE.fullmatch(media_type):
            media_type = "application/octet-stream"
        chunks = self._bounded(segment.name, first, payload)
        self.uploads.append(
            (segment.name, self._store(chunks, name=file_name, media_type=media_type))
        )

    def _bounded(self, name: str, first: bytes, payload: Iterator[bytes]) -> Iterator[bytes]:
        size = 0
        piece = first
        while piece:
            size += len(piece)
            if size > self._limits.max_file:
                raise TooLarge(
                    f"the file {shown(name)} has more than {self._limits.max_file} bytes, the"
                    " most a file may have here"
                )
            yield piece
            piece = next(payload, b"")

    def _count(self) -> None:
        self._fields += 1
        if self._fields > self._limits.max_fields:
            raise too_many_fields(self._limits.max_fields)


def _payload(events: Iterator[MultipartSegment | bytes | None]) -> Iterator[bytes]:
    """The bytes of the part whose header was the last event."""
    for event in events:
        if not isinstance(event, bytes):
            return
        yield event


def _says_where(
    segment: MultipartSegment, payload: Iterator[bytes]
) -> tuple[Iterator[bytes], bool]:
    """The payload, and whether it is no file but a text that refers to one, or nothing."""
    if segment.content_type not in (None, "", "text/plain"):
        return payload, False
    pieces: list[bytes] = []
    for piece in payload:
        pieces.append(piece)
        if sum(map(len, pieces)) > _LONGEST_REFERENCE:
            return chain(pieces, payload), False
    text = b"".join(pieces).strip()
    return iter(pieces), not text or _REFERENCE.fullmatch(text) is not None


def _file_name(segment: MultipartSegment) -> str | None:
    """What the client called the file; None for a text field, empty if nothing was chosen."""
    if segment.filename is not None:
        return str(segment.filename)
    # RFC 7578 forbids filename*, but older urllib3 sends nothing else for names not in ASCII.
    encoded = _ENCODED_FILE_NAME.search(str(segment.header("Content-Disposition", "")))
    return unquote_to_bytes(encoded[1]).decode("utf-8", "replace") if encoded else None
