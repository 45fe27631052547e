"""Send a file, whole or the part of it that was asked for (RFC 9110 sections 13 and 14)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote

import bottle

from opus_core.routes.asking import Asked
from opus_core.routes.reply import TEXT, reply

# A few blanks at most: a header of nothing else would keep the whole server busy for minutes.
_RANGE: Final = re.compile(
    r"bytes\s{0,9}=\s{0,9}([0-9]{0,18})\s{0,9}-\s{0,9}([0-9]{0,18})", re.IGNORECASE
)
_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')
_SCRIPT: Final = re.compile("(java|ecma|live|j)script", re.IGNORECASE)
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")
_NOT_IN_NAME: Final = re.compile(r"[\x00-\x1f\x7f/\\\"%;]|[^\x20-\x7e]")

# What a job wrote is shown as an origin of its own, without scripts, should a browser open it.
_SANDBOX: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


def send(
    asked: Asked,
    file: BinaryIO | bytes,
    *,
    size: int,
    content_type: str,
    tag: str = "",
    name: str = "",
    path: Path | None = None,
) -> bottle.HTTPResponse:
    """The first `size` bytes of `file`, which is closed when they are sent; or of what is in
    memory, which the server then counts among what waits to be sent, as it does no file.

    With a `tag`, which must be different for different content, conditional requests are
    answered; with a `name` browsers save it under that. With a `path`, where the file is as a
    whole, the web server in front sends it if it is set up for that.
    """
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Security-Policy": _SANDBOX,
        "Cache-Control": "private, no-cache" if tag else "no-store",
    }
    if tag:
        headers["ETag"] = f'"{tag}"'
    # A POST to sync has made a job, and its answer is not what anybody has kept.
    read = asked.environ.get("REQUEST_METHOD") in ("GET", "HEAD")
    if tag and read and _matches(asked.header("If-None-Match"), tag):
        _close(file)
        return reply("", content_type, status=304, headers=headers)
    if name:
        headers["Content-Disposition"] = disposition(name)
    if path is not None and asked.parts.handover is not None:
        _close(file)
        # It answers ranges, too, by the headers of the same request.
        headers.update(asked.parts.handover.header(path))
        return reply("", content_type, headers=headers)
    part = _part(asked, size, tag)
    if part is None:
        headers["Content-Length"] = str(size)
        return reply(_body(file, 0, size), content_type, headers=headers)
    first, last = part
    if first > last:
        _close(file)
        return reply(
            f"the file has {size} bytes; ask for some of them\n",
            TEXT,
            status=416,
            headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"},
        )
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    headers["Content-Length"] = str(last - first + 1)
    return reply(_body(file, first, last - first + 1), content_type, status=206, headers=headers)


def send_pieces(pieces: Iterable[bytes], *, size: int, content_type: str) -> bottle.HTTPResponse:
    """What is put together from files on its way, `size` bytes."""
    headers = {"Content-Security-Policy": _SANDBOX, "Content-Length": str(size)}
    return reply(pieces, content_type, headers=headers)


def send_stream(pieces: Iterable[bytes], content_type: str, name: str) -> bottle.HTTPResponse:
    """What is made on its way, and however long; browsers save it under that name."""
    headers = {"Content-Security-Policy": _SANDBOX, "Content-Disposition": disposition(name)}
    return reply(pieces, content_type, headers=headers)


def _body(file: BinaryIO | bytes, first: int, length: int) -> bytes | _Part:
    return file[first : first + length] if isinstance(file, bytes) else _Part(file, first, length)


def _close(file: BinaryIO | bytes) -> None:
    if not isinstance(file, bytes):
        file.close()


def media_type(text: str) -> str:
    """A description's or a client's word for a type, as a header may carry it."""
    kind = text.split(";")[0].strip()
    if not _MEDIA_TYPE.fullmatch(kind):
        return "application/octet-stream"
    if _SCRIPT.search(kind):
        return "text/plain; charset=utf-8"  # else a page of ours could be made to run it
    return f"{kind}; charset=utf-8" if kind.lower().startswith("text/") else kind


def disposition(name: str) -> str:
    """`attachment` under a name: in ASCII for old clients, and as it is (RFC 6266, RFC 8187)."""
    bare = re.split(r"[/\\]", name)[-1] or "file"
    plain = _NOT_IN_NAME.sub("_", bare)
    encoded = quote(bare.encode("utf-8", "replace"), safe="!#$&+^`|~")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def _part(asked: Asked, size: int, tag: str) -> tuple[int, int] | None:
    """First and last byte that are wanted; None: all of them; first > last: there are none such.

    Ranges are for GET alone (RFC 9110 section 14.2). Several at once, other units and what is
    malformed count as not sent, as it lets a server do; and any of a file that is empty, for who
    reads what is being written has to ask for parts before there are any.
    """
    match = _RANGE.fullmatch(asked.header("Range").strip())
    if match is None or size == 0 or asked.environ.get("REQUEST_METHOD") != "GET":
        return None
    condition = asked.header("If-Range").strip()
    if condition and (not tag or condition != f'"{tag}"'):
        return None
    first, last = match.groups()
    if not first:
        if not last:
            return None
        wanted = int(last)
        return (size - min(wanted, size), size - 1) if wanted else (size, size - 1)
    if last and int(last) < int(first):
        return None
    start = int(first)
    end = min(int(last), size - 1) if last else size - 1
    return start, end


def _matches(header: str, tag: str) -> bool:
    """Whether If-None-Match names the content; weak comparison (RFC 9110 section 13.1.2)."""
    return header.strip() == "*" or f'"{tag}"' in _TAG.findall(header)


class _Part:
    """A part of a file, as a file of its own.

    What can be read goes through the server's `wsgi.file_wrapper`: the embedded one then sends it
    without keeping a thread, however slowly the client reads. It has no `fileno`, by which other
    servers would send all of the file.
    """

    def __init__(self, file: BinaryIO, first: int, length: int) -> None:
        self._file = file
        self._first = first
        self._length = length
        file.seek(first)

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; all that is left if that is negative."""
        left = self._length - self.tell()
        wanted = left if size < 0 else min(size, left)
        data = self._file.read(wanted)
        if wanted and not data:
            # A job can cut its own output short; a server would wait for the rest for ever.
            raise OSError("the file has become shorter while it was sent")
        return data

    def tell(self) -> int:
        """Where it is read next, from the beginning of the part."""
        return self._file.tell() - self._first

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go there; answers where that is."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self._length}[whence]
        self._file.seek(self._first + min(max(base + offset, 0), self._length))
        return self.tell()

    def seekable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """By the server, whatever happened."""
        self._file.close()
