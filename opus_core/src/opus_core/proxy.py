"""Ask a service elsewhere for a page of ours, which the service does not let ask itself (CORS).

Only servers of the services that a site lists are reached, redirections included. Bodies are passed
on as they come. Of the headers those are passed on that UWS needs, and none by which the other side
could sign somebody in here, or the other way round: who asks there is said by credentials of their
own.
"""

from __future__ import annotations

import http.client
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote

from opus_core import __version__
from opus_core.bodies import Body
from opus_core.elsewhere import Origin, Services
from opus_core.errors import BadRequest, OpusError, Unavailable
from opus_core.values import shown

METHODS: Final = ("GET", "POST", "PUT", "DELETE")

CREDENTIALS: Final = "X-UWS-Authorization"
"""The header that becomes `Authorization`: that itself says who is asking here."""

_CHUNK: Final = 65536  # [byte]
_CONNECT: Final = 10.0  # [s]
_SILENCE: Final = 90.0  # [s]; longer than services let a request wait
_RETRY: Final = 2.0  # [s]
_KNOWN: Final = 600.0  # [s] for which it is remembered how a service can be asked
_MOST_KNOWN: Final = 256
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_REDIRECTIONS: Final = frozenset({301, 302, 303, 307, 308})
_SENT: Final = (
    *("Accept", "Accept-Language", "Content-Type", "Idempotency-Key", "If-Match"),
    *("If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range"),
)
_GIVEN: Final = (
    *("Accept-Ranges", "Content-Disposition", "Content-Encoding", "Content-Length"),
    *("Content-Range", "Content-Type", "ETag", "Last-Modified", "Link", "Retry-After"),
)
# What a page needs of a service that it asks itself.
_METHODS_NEEDED: Final = frozenset({"post", "delete"})
_HEADERS_NEEDED: Final = frozenset({"authorization", "idempotency-key", "range"})
_EXPOSED_NEEDED: Final = frozenset({"content-range", "link", "retry-after"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the service said."""

    status: int
    headers: Mapping[str, str]
    body: Stream
    location: str = ""  # where it leads on to; the body is empty then


class Stream:
    """The bytes of an answer, a piece at a time. Its place is given back when it is closed."""

    def __init__(self, response: http.client.HTTPResponse, close: Callable[[], None]) -> None:
        self._response = response
        self._close = close
        self._ahead: bytes | None = None

    def begin(self) -> None:
        """Have the first of them ready: until then there can still be another answer."""
        self._ahead = self._read()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data, self._ahead = self._ahead, None
        try:
            data = self._read() if data is None else data
        except (OSError, http.client.HTTPException):
            self.close()
            raise  # whoever is being answered sees that it breaks off
        if not data:
            self.close()
            raise StopIteration
        return data

    def _read(self) -> bytes:
        # Whatever has come: a log that grows is not held back until there is enough of it.
        data = self._response.read1(_CHUNK)
        if not data and self._response.length:
            raise http.client.IncompleteRead(data, self._response.length)
        return data

    def close(self) -> None:
        """Let go of the connection; safe twice."""
        close, self._close = self._close, lambda: None
        close()


class Proxy:
    """Asks services for the pages of this process; so many requests at once, since each of them
    keeps a thread for as long as the other side likes."""

    def __init__(self, services: Services, *, at_once: int) -> None:
        self._services = services
        self._places = threading.BoundedSemaphore(at_once)
        self._ways: dict[tuple[str, str], tuple[float, bool]] = {}

    def ask(self, method: str, url: str, headers: Mapping[str, str], body: Body | None) -> Answer:
        """Pass a request on. Raises `NotAllowed` for another server than one of the services,
        `Unavailable` if it cannot be reached."""
        parts, origin = self._services.reachable(url)
        sent = {name: headers[name] for name in _SENT if headers.get(name)}
        if headers.get(CREDENTIALS):
            sent["Authorization"] = headers[CREDENTIALS]
        if body is not None:
            if body.length is None:
                raise BadRequest("say how long the body is, in Content-Length")
            sent["Content-Length"] = str(body.length)
        connection, response = self._asked(method, parts, origin, sent, body)
        stream = Stream(response, lambda: self._leave(connection, response))
        try:
            location = response.headers.get("Location", "")
            if response.status in _REDIRECTIONS and location:
                stream.close()
                location = self._services.behind(location, url)
                return Answer(status=response.status, headers={}, body=stream, location=location)
            if response.status < 200:
                raise http.client.UnknownProtocol(f"{response.status}")
            stream.begin()
            found = {name: _line(response.headers.get(name, "")) for name in _GIVEN}
            given = {name: value for name, value in found.items() if value}
            return Answer(status=response.status, headers=given, body=stream)
        except (OSError, http.client.HTTPException) as error:
            stream.close()
            raise Unavailable(f"{shown(str(origin))} breaks off: {_why(error)}") from error
        except BaseException:
            stream.close()
            raise

    def lets_pages_ask(self, url: str, page: str) -> bool:
        """Whether a service lets pages of the origin `page` do all that ours do (CORS). What
        cannot be reached from here is for the browser to try."""
        known = self._ways.get((url, page))
        if known is None or known[0] < time.monotonic():
            parts, origin = self._services.reachable(url)
            known = (time.monotonic() + _KNOWN, self._lets(parts, origin, page))
            if len(self._ways) >= _MOST_KNOWN:  # anybody can make up addresses below a service
                self._ways.clear()
            self._ways[url, page] = known
        return known[1]

    def _lets(self, parts: SplitResult, origin: Origin, page: str) -> bool:
        if page.startswith("https:") and not origin.is_private:
            return False  # no browser lets such a page ask by http (Mixed Content)
        wishes = {
            "Origin": page,
            "Access-Control-Request-Method": "DELETE",
            "Access-Control-Request-Headers": ", ".join(sorted(_HEADERS_NEEDED)),
        }
        before = self._headers("OPTIONS", parts, origin, wishes)
        last = parts._replace(query="LAST=1")
        answer = self._headers("GET", last, origin, {"Origin": page, "Accept": "application/xml"})
        if before is None or answer is None:
            return True
        names = {
            name: _words(found.get(f"Access-Control-{name}", ""))
            for found, name in (
                (before, "Allow-Methods"),
                (before, "Allow-Headers"),
                (answer, "Expose-Headers"),
            )
        }
        return (
            all(
                found.get("Access-Control-Allow-Origin", "").strip() in ("*", page)
                for found in (before, answer)
            )
            and (names["Allow-Methods"] >= _METHODS_NEEDED or "*" in names["Allow-Methods"])
            # No `*` stands for Authorization (Fetch standard, section 3.2.3).
            and names["Allow-Headers"] >= _HEADERS_NEEDED
            and (names["Expose-Headers"] >= _EXPOSED_NEEDED or "*" in names["Expose-Headers"])
        )

    def _headers(
        self, method: str, parts: SplitResult, origin: Origin, sent: Mapping[str, str]
    ) -> http.client.HTTPMessage | None:
        """Those of an answer; None if there is none."""
        try:
            connection, response = self._asked(method, parts, origin, sent, None)
        except OpusError:
            return None
        self._leave(connection, response)
        return response.headers

    def _asked(
        self,
        method: str,
        parts: SplitResult,
        origin: Origin,
        sent: Mapping[str, str],
        body: Body | None,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """The connection, and the answer's head; a place is taken until `_leave`."""
        if not self._places.acquire(blocking=False):
            raise Unavailable(
                "too many requests to other services are under way; try again soon",
                retry_after=_RETRY,
            )
        connection = _connection(origin)
        try:
            connection.connect()
            connection.sock.settimeout(_SILENCE)
            always = {
                "User-Agent": f"OPUS/{__version__}",
                "Accept-Encoding": "identity",
                "Connection": "close",
            }
            # A service that refuses a body may close the connection before it has come; what it
            # said of that is to be read all the same.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, _target(parts), body=body, headers={**sent, **always})
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._leave(connection)
            raise Unavailable(f"{shown(str(origin))} cannot be reached: {_why(error)}") from error
        except BaseException:
            self._leave(connection)
            raise

    def _leave(
        self,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse | None = None,
    ) -> None:
        with closing(connection):
            if response is not None:
                response.close()
        self._places.release()


def _connection(origin: Origin) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if origin.scheme == "https" else http.client.HTTPConnection
    return kind(origin.host, origin.port, timeout=_CONNECT, blocksize=_CHUNK)


def _target(parts: SplitResult) -> str:
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    return f"{target}?{query}" if query else target


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"it cannot be trusted: {error.verify_message}"
    return getattr(error, "strerror", None) or type(error).__name__


def _line(value: str) -> str:
    """The value of a header in one line, as lines that were folded mean it; empty if it is none."""
    line = re.sub(r"\r?\n[ \t]+", " ", value)
    return "" if _CONTROL.search(line.replace("\t", " ")) else line


def _words(header: str) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in header.split(",") if word.strip())
