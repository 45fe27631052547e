"""Fetch an input that a client gave as a URL: from permitted addresses alone, within limits.

Each hop, the first like those it redirects to, is checked by `opus_core.hosts`; its name is looked
up once, and the connection goes to the very address that was checked, so a name that leads
elsewhere a moment later gains nothing. Proxies of the environment, cookies and stored passwords
play no part.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urljoin

from opus_core import __version__, connecting
from opus_core.connecting import Lookup, Patience, connect, look_up
from opus_core.errors import BadRequest, NotFound, OpusError, TooLarge, Unavailable
from opus_core.hosts import Hosts
from opus_core.values import shown

REDIRECTS: Final = 5

_CHUNK: Final = 65536  # [byte]
_REDIRECTIONS: Final = frozenset({301, 302, 303, 307, 308})
_LATER: Final = frozenset({408, 425, 429})  # and all from 500 on
_PACKED: Final = re.compile(r"\.(?:gz|gzip|z|Z)\Z")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")
_HEADERS: Final = {
    "User-Agent": f"OPUS/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """From where, and what may be taken."""

    hosts: Hosts = field(default_factory=Hosts)
    max_bytes: int = 2 * 2**30  # of a file as it is stored; of all those of a job together
    seconds: float = 600.0  # for a file, from the first look-up to the last byte


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that is there: what it is, and its bytes, which can be read once."""

    name: str
    media_type: str
    chunks: Iterator[bytes]


@contextmanager
def fetch(
    url: str,
    limits: Fetch,
    *,
    look_up: Lookup = look_up,
    wanted: Callable[[], None] = lambda: None,
) -> Iterator[Found]:
    """`with fetch(url, limits) as found: store(found.chunks)`.

    Raises, here and while the chunks are read, `Unavailable` where another try may help, and an
    `OpusError` that is not transient where none will: `BadRequest`, `NotAllowed`, `NotFound`,
    `TooLarge`. While nothing comes, `wanted` is called again and again; what it raises ends it all.
    """
    call = _Call(url, limits, Patience(time.monotonic() + limits.seconds, wanted))
    with ExitStack() as opened:
        for _ in range(REDIRECTS + 1):
            parts = limits.hosts.check(call.url)
            with call.telling():
                connection = connect(parts, limits.hosts, look_up, call.patience)
                opened.enter_context(closing(connection))
                response = opened.enter_context(closing(_ask(connection, parts)))
            if response.status not in _REDIRECTIONS:
                yield _found(response, parts, call)
                return
            opened.close()
            call = replace(call, url=_next(response, call.url))
    raise BadRequest(f"{shown(url)} leads on more than {REDIRECTS} times; send its last address")


@dataclass(frozen=True, slots=True)
class _Call:
    """One hop."""

    url: str
    limits: Fetch
    patience: Patience

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Turn what goes wrong on the way into a sentence."""
        try:
            yield
        except TimeoutError as error:
            if self.patience.over:
                raise BadRequest(
                    f"{shown(self.url)} did not come within {self.limits.seconds:g} s; download it"
                    " and upload it"
                ) from error
            raise Unavailable(
                f"{shown(self.url)} was silent for {connecting.SILENCE:g} s"
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise BadRequest(
                f"{shown(self.url)} cannot be trusted: {error.verify_message}"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            what = getattr(error, "strerror", None) or type(error).__name__
            raise Unavailable(f"{shown(self.url)} could not be read: {what}") from error


def _ask(connection: http.client.HTTPConnection, parts: SplitResult) -> http.client.HTTPResponse:
    """The head of the answer. The connection is open, so its host only names itself in `Host`."""
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    connection.request("GET", target, headers=_HEADERS)
    return connection.getresponse()


# -- answers


def _next(response: http.client.HTTPResponse, here: str) -> str:
    """Where a redirection leads."""
    location = response.headers.get("Location", "")
    try:
        if location:
            return urljoin(here, location)
    except ValueError as error:
        raise BadRequest(f"{shown(here)} leads on to {shown(location)}, which is no URL") from error
    raise BadRequest(f"{shown(here)} leads on, but does not say where")


def _found(response: http.client.HTTPResponse, parts: SplitResult, call: _Call) -> Found:
    url, most = call.url, call.limits.max_bytes
    if response.status != 200:
        raise _refusal(response.status, url)
    if response.length is not None and response.length > most:
        raise _too_large(call)
    chunks, packed = _unpacked(response, call)
    name = _name(response, parts)
    kind = response.headers.get_content_type()
    known = "Content-Type" in response.headers and _MEDIA_TYPE.fullmatch(kind)
    return Found(
        # A program looks at the ending, and what was packed for the way is not packed any more.
        name=_PACKED.sub("", name) if packed else name,
        media_type=kind if known else "application/octet-stream",
        chunks=_bounded(chunks, call),
    )


def _refusal(status: int, url: str) -> OpusError:
    if status in _LATER or status >= 500:
        return Unavailable(f"{shown(url)} cannot be had now: its server answers {status}")
    if status in (404, 410):
        return NotFound(f"{shown(url)} is not there: its server answers {status}")
    return BadRequest(f"{shown(url)} cannot be had: its server answers {status}")


def _name(response: http.client.HTTPResponse, parts: SplitResult) -> str:
    """What its server calls it, or else the last part of its address."""
    given = response.headers.get_filename() or unquote(parts.path)
    return _CONTROL.sub("", re.split(r"[/\\]", given)[-1])[:255]


def _unpacked(response: http.client.HTTPResponse, call: _Call) -> tuple[Iterator[bytes], bool]:
    """The bytes of the file, and whether they were packed for the way; we asked them not to be,
    which not all servers heed."""
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    raw = _raw(response, call)
    if coding in ("identity", ""):
        return raw, False
    if coding in ("gzip", "x-gzip", "deflate"):
        return _inflated(raw, call.url), True
    raise BadRequest(f"{shown(call.url)} comes packed as {shown(coding)}, which is not known here")


def _raw(response: http.client.HTTPResponse, call: _Call) -> Iterator[bytes]:
    left = response.length
    while True:
        with call.telling():
            # read1: whatever has come; read would wait for all of it, beyond any deadline.
            data = response.read1(_CHUNK if left is None else min(_CHUNK, left))
        if not data:
            break
        if left is not None:
            left -= len(data)
        yield data
    if left:
        raise Unavailable(f"{shown(call.url)} ended {left} bytes too early")


def _inflated(raw: Iterator[bytes], url: str) -> Iterator[bytes]:
    """Unpacked a piece at a time, so that a bomb is noticed before it goes off."""
    stream = _inflater()
    try:
        for data in raw:
            left = data
            while left:
                if stream.eof:  # one member of a gzip file may follow another
                    stream = _inflater()
                if piece := stream.decompress(left, _CHUNK):
                    yield piece
                left = stream.unused_data if stream.eof else stream.unconsumed_tail
        while not stream.eof and (piece := stream.decompress(b"", _CHUNK)):
            yield piece
    except zlib.error as error:
        raise BadRequest(f"{shown(url)} is not packed as its server says: {error}") from error
    if not stream.eof:
        raise Unavailable(f"{shown(url)} ended too early")


def _inflater() -> zlib._Decompress:
    return zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: gzip or zlib, as its head says


def _bounded(chunks: Iterator[bytes], call: _Call) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > call.limits.max_bytes:
            raise _too_large(call)
        yield chunk


def _too_large(call: _Call) -> TooLarge:
    return TooLarge(
        f"{shown(call.url)} has more than the {call.limits.max_bytes} bytes that are taken here"
    )
