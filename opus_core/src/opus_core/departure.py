"""Whether a client has left while its request waits, and keeps a place from others for nobody.

A WSGI application is not told. A server of ours that can tell puts a `Gone` into the environ; under
another one clients stay until their time is up.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Final

Gone = Callable[[], bool]
"""Whether the client has left; asked by another thread than the one that waits."""

GONE: Final = "opus.client_gone"
"""Where it is in the environ."""


def stays() -> bool:
    """Nobody can tell, so the client is still there."""
    return False


def has_left(connection: socket.socket | None) -> bool:
    """Whether the other side has closed a connection, or its half of it: such a one may be answered
    early. Nothing is read, and nothing waited for."""
    descriptor = -1 if connection is None else connection.fileno()
    if descriptor < 0:  # closed on this side
        return True
    poll = select.poll()
    poll.register(descriptor, getattr(select, "POLLRDHUP", 0))  # POLLHUP and POLLERR always count
    return bool(poll.poll(0))
