"""The bytes of a request as they come: its body within limits, and urlencoded text taken apart."""

from __future__ import annotations

import re
from binascii import a2b_qp
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, Final

from opus_core.errors import BadRequest, OpusError, TooLarge
from opus_core.values import shown

CHUNK: Final = 65536  # [byte] read from the connection at once

_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_STRAY: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Body:
    """The bytes of `wsgi.input`, no further than the request goes and the limit [byte] allows.

    Raises `TooLarge` beyond it, at once if the request says how long it is. A body in chunks has
    been put together by the server, which says so by `wsgi.input_terminated`.
    """

    def __init__(self, environ: Mapping[str, Any], limit: int) -> None:
        self._input = environ.get("wsgi.input")
        self._limit = limit
        self._taken = 0
        self._ahead = b""
        self._length = self._declared(environ)
        if self._length is not None and self._length > limit:
            raise TooLarge(f"the body has {self._length} bytes; {limit} is the most taken here")

    @staticmethod
    def _declared(environ: Mapping[str, Any]) -> int | None:
        """Bytes that are to come; None: until the input ends."""
        text = str(environ.get("CONTENT_LENGTH") or "").strip()
        if text:
            if not _DIGITS.fullmatch(text):
                raise BadRequest(f"Content-Length {shown(text)} is not a number of bytes")
            return int(text)
        if environ.get("wsgi.input_terminated"):
            return None
        if environ.get("HTTP_TRANSFER_ENCODING"):
            # Without either, reading on would block for ever.
            raise BadRequest("this server cannot tell where the body ends; send a Content-Length")
        return 0

    @property
    def length(self) -> int | None:
        """What the request says of its size [byte]; None where it says nothing."""
        return self._length

    @property
    def empty(self) -> bool:
        """There is no body, or one of no bytes."""
        if not self._ahead:
            self._ahead = self.read(CHUNK)
        return not self._ahead

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end. Raises `BadRequest` if the end came too early."""
        if self._ahead:
            ahead, self._ahead = self._ahead[:size], self._ahead[size:]
            return ahead
        wanted = size if self._length is None else min(size, self._length - self._taken)
        if wanted <= 0 or self._input is None:
            return b""
        try:
            data: bytes = self._input.read(wanted)
        except OpusError:
            raise  # the embedded server refuses in our words (opus_core.spool)
        except Exception as error:
            # The client has gone, or its chunks are broken: each server has its own errors for it.
            raise BadRequest("the body could not be read to its end; send it again") from error
        self._taken += len(data)
        if not data and self._length is not None:
            raise BadRequest(
                f"the body ended after {self._taken} of {self._length} bytes; send it again"
            )
        if self._taken > self._limit:
            raise TooLarge(f"the body has more than {self._limit} bytes, the most taken here")
        return data

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(CHUNK):
            yield data


def urlencoded(
    chunks: Iterable[bytes], *, most: int, longest: int
) -> Iterator[tuple[bytes, Iterator[bytes]]]:
    """The fields of an urlencoded text: of each its name, and its value in pieces, which are of no
    use any more when the next field is asked for.

    Decoded as it comes: what is kept is the text, never its encoding. Raises `TooLarge` if there
    are more than `most` fields, empty ones included, or one's name has more than `longest` bytes.
    """
    pieces = _pieces(chunks, most)
    for piece in pieces:
        name, there, equals, rest = bytearray(), False, b"", piece
        while rest is not None and not equals:
            there = there or bool(rest)
            head, equals, value = rest.partition(b"=")
            name += _decoded(head)
            if len(name) > longest:
                raise TooLarge(f"the name of one of the text fields has more than {longest} bytes")
            if not equals:
                rest = next(pieces)
        following = iter(partial(next, pieces), None) if equals else iter(())
        if there:
            yield bytes(name), map(_decoded, chain((value,), following))
        for _ in following:
            pass  # what was not taken of the value


def _pieces(chunks: Iterable[bytes], most: int) -> Iterator[bytes | None]:
    """What stands between the separators, in pieces that cut no escape; None behind each field."""
    separators = 0
    for chunk in _whole_escapes(chunks):
        separators += chunk.count(b"&")
        if separators > most:
            raise too_many_fields(most)
        first, *others = chunk.split(b"&")
        yield first
        for piece in others:
            yield None
            yield piece
    yield None


def too_many_fields(most: int) -> TooLarge:
    """The error of a form with more fields."""
    return TooLarge(f"more than {most} fields, the most taken at once")


def _whole_escapes(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, cut so that no escape lies in two pieces."""
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        cut = data.rfind(b"%", max(0, len(data) - 2))
        rest = data[cut:] if cut >= 0 else b""
        yield data[: len(data) - len(rest)]
    yield rest


def _decoded(data: bytes) -> bytes:
    """A form's text without its escapes, as `urllib.parse.unquote_to_bytes` does it; but that takes
    a hundred bytes of memory, and a step of the interpreter, for each. Quoted-printable is the same
    but for the sign, and decoded at once."""
    plain = _STRAY.sub(b"%25", data.replace(b"+", b" "))
    return a2b_qp(plain.replace(b"=", b"%3D").replace(b"%", b"="))
