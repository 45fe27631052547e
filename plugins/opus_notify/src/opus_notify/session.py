"""A conversation with the mail server, which is over in time."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from opus_core import connecting
from opus_core.connecting import Patience
from opus_core.errors import Unavailable
from opus_core.hosts import Hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The mail server, and how to talk to it."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    user: str | None = None
    password: str | None = field(default=None, repr=False)


class _Session(smtplib.SMTP):
    """One whose connection keeps to the time: `smtplib` has a limit for each answer alone."""

    def __init__(self, server: Server, patience: Patience) -> None:
        self._patience = patience
        self._secure = server.security == "tls"
        # A name of its own, lest smtplib ask the name service for one, without a limit.
        super().__init__(server.host, server.port, local_hostname="localhost")
        assert self.sock is not None  # noqa: S101 - for mypy; it has just been connected
        self.local_hostname = _own_name(self.sock)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        hosts = Hosts(names=frozenset({host}))
        context = connecting.trusting(self._patience) if self._secure else None
        return connecting.reach(host, port, hosts, connecting.look_up, self._patience, context)

    def protect(self) -> None:
        """Go on in TLS (RFC 3207), or not at all."""
        self.ehlo_or_helo_if_needed()
        if not self.has_extn("starttls"):
            raise Unavailable("the mail server does not offer STARTTLS")
        assert self.sock is not None  # noqa: S101 - for mypy
        self.sock.settimeout(self._patience.left())
        self.starttls(context=connecting.trusting(self._patience))

    def sign_in(self, user: str, password: str) -> None:
        """Say who sends (RFC 4954)."""
        self.ehlo_or_helo_if_needed()
        try:
            self.login(user, password)
        except smtplib.SMTPResponseException as error:
            # Its words stay here: a server may quote what it has not understood, a password say.
            raise Unavailable(
                f"the mail server does not let smtp_user sign in: it answers {error.smtp_code}"
            ) from None
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPException:
            raise Unavailable("the mail server has no way to sign in that is known here") from None


@contextmanager
def session(server: Server, patience: Patience) -> Iterator[smtplib.SMTP]:
    """One that is protected and signed in as the server wants. Raises `Unavailable`, and what
    `smtplib` and sockets raise."""
    smtp = _Session(server, patience)
    try:
        if server.security == "starttls":
            smtp.protect()
        if server.user is not None and server.password is not None:
            smtp.sign_in(server.user, server.password)
        yield smtp
        # What was taken is taken, however the server says goodbye.
        with suppress(OSError):
            smtp.docmd("QUIT")
    finally:
        smtp.close()


def _own_name(sock: socket.socket) -> str:
    """The name of this machine, or its address where it has no full name (RFC 5321, 4.1.4)."""
    name = socket.gethostname()
    if "." in name:
        return name
    address = sock.getsockname()[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
