"""Connect to another server: to the very address that was checked, and in time.

Inputs are fetched so, and plugins that tell others may connect so. Whoever waits here, for a name,
a connection or the next byte, looks now and then whether anybody still wants it.
"""

from __future__ import annotations

import http.client
import logging
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult

from opus_core.errors import NotAllowed, Unavailable
from opus_core.facts import about
from opus_core.hosts import Hosts, host_of
from opus_core.values import shown

log = logging.getLogger(__name__)

SILENCE: Final = 30.0  # [s] without a name or a byte

_LOOK: Final = 1.0  # [s] between two looks whether it is still wanted
# A name service that hangs keeps a thread until the system's own limit, often minutes.
_LOOK_UPS: Final = threading.BoundedSemaphore(32)

Lookup = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait in all, and for whom."""

    deadline: float  # of the monotonic clock
    wanted: Callable[[], None]  # raises when nobody wants it any more

    @property
    def over(self) -> bool:
        """The time is up."""
        return time.monotonic() >= self.deadline

    def step(self, since: float) -> float:
        """How long to wait until the next look [s]; `TimeoutError` if that was too long already,
        or since something came last."""
        self.wanted()
        left = min(self.deadline, since + SILENCE) - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, _LOOK)

    def left(self) -> float:
        """How long to wait for what cannot be waited for in steps [s]; `TimeoutError` as above."""
        self.wanted()
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, SILENCE)


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host, best first; `Unavailable` if there is none at present."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"{shown(host)} has no address: {error}") from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def connect(
    parts: SplitResult, hosts: Hosts, look_up: Lookup, patience: Patience
) -> http.client.HTTPConnection:
    """A connection to an address of the host that may be connected to.

    Raises `NotAllowed` if there is none, `Unavailable`, and `OSError`, of which `TimeoutError`.
    """
    host = host_of(parts)
    if parts.scheme == "https":
        context = trusting(patience)
        port = parts.port or http.client.HTTPS_PORT
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, context=context
        )
    else:
        context, port = None, parts.port or http.client.HTTP_PORT
        connection = http.client.HTTPConnection(host, port)
    connection.sock = reach(host, port, hosts, look_up, patience, context)
    return connection


def reach(
    host: str,
    port: int,
    hosts: Hosts,
    look_up: Lookup,
    patience: Patience,
    context: ssl.SSLContext | None = None,
) -> socket.socket:
    """The same as a socket, for other protocols than HTTP; with a context (`trusting`) in TLS."""
    every = _looked_up(look_up, host, port, patience)
    permitted = [address for address in every if hosts.permits(host, address)]
    if not permitted:
        # The address stays in the log: it may tell of a network that is nobody else's business.
        log.warning(
            "nothing is fetched from there: it leads to %s",
            ", ".join(every) or "no address",
            extra=about(host=host),
        )
        raise NotAllowed(
            f"nothing can be fetched from {shown(host)}: it is at no address that this server may"
            " connect to; download the file and upload it"
        )
    for address in permitted[:-1]:
        try:
            return _connected(host, address, port, patience, context)
        except OSError as error:
            log.info("did not answer: %s", error, extra=about(host=host, address=address))
    return _connected(host, permitted[-1], port, patience, context)


def trusting(patience: Patience) -> ssl.SSLContext:
    """What a server has to prove itself by (the certificates that the system trusts), and which
    makes sockets that keep to the time."""
    context = ssl.create_default_context()
    context.sslsocket_class = type("Timed", (_TimedTLS,), {"patience": patience})
    return context


def _looked_up(look_up: Lookup, host: str, port: int, patience: Patience) -> list[str]:
    """What `look_up` answers, by a thread that is left alone if that takes too long: there is no
    other way to end it."""
    places = _LOOK_UPS
    if not places.acquire(blocking=False):
        raise Unavailable("the name service does not answer; try again later")
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(look_up(host, port))
        except Exception as error:  # whatever it is, it is raised where it was asked for
            answers.put(error)
        finally:
            places.release()

    threading.Thread(target=ask, name="opus-look-up", daemon=True).start()
    begin = time.monotonic()
    while True:
        try:
            answer = answers.get(timeout=patience.step(begin))
        except queue.Empty:
            continue
        if isinstance(answer, Exception):
            raise answer
        return answer


class _Timed(socket.socket):
    """A socket that knows when all has to be over: a server that sends one byte now and then is
    not silent, yet never done."""

    patience: Patience

    def recv_into(self, *args: Any) -> int:  # noqa: ANN401 - as the socket's own
        begin = time.monotonic()
        while True:
            self.settimeout(self.patience.step(begin))
            try:
                return super().recv_into(*args)
            except TimeoutError:
                continue


class _TimedTLS(ssl.SSLSocket):
    """The same through TLS."""

    patience: Patience

    def recv_into(self, *args: Any) -> int:  # noqa: ANN401
        begin = time.monotonic()
        while True:
            self.settimeout(self.patience.step(begin))
            try:
                return super().recv_into(*args)
            except TimeoutError:
                continue


def _connected(
    host: str, address: str, port: int, patience: Patience, context: ssl.SSLContext | None
) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    plain = _Timed(family, socket.SOCK_STREAM)
    plain.patience = patience
    try:
        plain.settimeout(patience.left())
        plain.connect((address, port))
        if context is None:
            return plain
        plain.settimeout(patience.left())
        return context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise
