"""What the log says of requests: each has an id, which every line that is written for it bears and
which its answer tells the client, and one line when it has been answered.

The id is what a trusted proxy calls the request (`opus_core.forwarded`), or else is made here. In
the environ it stands where that proxy's would, so that plugins find it in the usual place.

The line has the path without its query: there tickets and other secrets are. What programs ask all
the time, and get, has its line at the level debug; what the server has failed to do, at warning.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

import bottle

from opus_core.errors import OpusError
from opus_core.facts import KEY, Fact, during
from opus_core.forwarded import REQUEST_ID
from opus_core.lines import STRUCK
from opus_core.logs import REQUESTS

log = logging.getLogger(REQUESTS)

HEADER: Final = "X-Request-ID"

_LONGEST: Final = 300  # characters of a path
_INCESSANT: Final = frozenset({"/healthz", "/handler/job_event"})
_LINKS: Final = "/signin/"
_STREAMS: Final = (itertools.chain, bottle._closeiter)  # as bottle hands on what is made bit by bit

Start = Callable[..., Any]


def id_of(environ: Mapping[str, Any]) -> str:
    """What the log knows the request by."""
    return str(environ.get(REQUEST_ID, ""))


def path_of(environ: Mapping[str, Any], key: str = "PATH_INFO") -> str:
    """Its path as the log has it: without the code of a link to sign in by, and not too long."""
    path = str(environ.get(key, "")).encode("latin-1", "replace").decode("utf-8", "replace")
    before, link, _ = path.partition(_LINKS)
    return (f"{before}{link}{STRUCK}" if link else path)[:_LONGEST]


class Answered:
    """One request, from its first line to the one when it has been answered."""

    def __init__(self, environ: dict[str, Any], path_key: str) -> None:
        """Gives the request its id if it has none yet."""
        self._began = time.perf_counter()
        self._environ = environ
        self._path_key = path_key
        self._id = str(environ.setdefault(REQUEST_ID, secrets.token_hex(8)))
        self._facts: dict[str, Fact] = {
            "request": self._id,
            "address": str(environ.get("REMOTE_ADDR") or "") or None,
        }
        self._status = ""
        self._length: int | None = None

    def by(
        self,
        application: Callable[[dict[str, Any], Start], Iterable[bytes]],
        start_response: Start,
    ) -> Iterable[bytes]:
        """What the application answers. A stream is followed to its end; of a file, which the web
        server sends without us, the line is written before."""

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:  # noqa: ANN401
            self._status = status[:3]
            sizes = (value for name, value in headers if name.lower() == "content-length")
            size = next(sizes, "")
            self._length = int(size) if size.isdecimal() else None
            return start_response(status, [*headers, (HEADER, self._id)], *error)

        with during(**self._facts) as self._facts:
            body = application(self._environ, start)
            if isinstance(body, _STREAMS):
                return _Stream(body, self)
            self.end(sum(map(len, body)) if isinstance(body, list) else self._length)
        return body

    def during(self) -> AbstractContextManager[object]:
        """Its facts for what is written while a stream is made."""
        return during(**self._facts)

    def end(self, size: int | None, **more: Fact) -> None:
        """Write the line."""
        level = logging.INFO
        if self._status >= "500" or more.get("reason") is not None:
            level = logging.WARNING
        elif self._status == "200" and self._environ.get("PATH_INFO") in _INCESSANT:
            level = logging.DEBUG
        if log.isEnabledFor(level):
            facts: dict[str, Fact] = {
                "method": str(self._environ.get("REQUEST_METHOD", ""))[:20],
                "path": path_of(self._environ, self._path_key),
                "status": int(self._status or 0),
                "ms": round((time.perf_counter() - self._began) * 1000, 1),
                "bytes": size,
                **more,
            }
            # As `log.log` does, but for finding out who calls it, which takes a while.
            record = logging.LogRecord(log.name, level, __file__, 0, "answered", (), None)
            record.__dict__[KEY] = facts
            log.handle(record)


class _Stream:
    """A body that is made while it is sent."""

    def __init__(self, body: Any, answered: Answered) -> None:  # noqa: ANN401
        self._body = body
        self._rest = iter(body)
        self._answered = answered
        self._size = 0
        self._whole = False
        self._reason: str | None = None  # why it could not be made to its end

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._answered.during():
            try:
                chunk: bytes = next(self._rest)
            except StopIteration:
                self._whole = True
                raise
            except OpusError as error:
                # The status has been sent: all that is left is to cut it off, as servers do.
                self._reason = error.sentence
                raise
        self._size += len(chunk)
        return chunk

    def close(self) -> None:
        """The web server is done with it."""
        with self._answered.during():
            try:
                getattr(self._body, "close", lambda: None)()
            finally:
                cut = None if self._whole else True
                self._answered.end(self._size, cut=cut, reason=self._reason)
