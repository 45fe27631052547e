"""A real mail server on loopback (RFC 5321), which answers as a test says."""

from __future__ import annotations

import base64
import email
import email.policy
import re
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage


@dataclass(frozen=True)
class Mail:
    """One that was taken, with its envelope."""

    sender: str
    to: tuple[str, ...]
    data: bytes
    secure: bool
    user: str | None

    @property
    def message(self) -> EmailMessage:
        found = email.message_from_bytes(self.data, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found

    @property
    def text(self) -> str:
        return self.message.get_content()


@dataclass
class Postbox:
    port: int
    mails: list[Mail] = field(default_factory=list)
    lines: list[tuple[bool, str]] = field(default_factory=list)  # as heard; whether through TLS
    sessions: int = 0
    refusals: list[tuple[str, str]] = field(default_factory=list)  # begin of a line, the answer
    users: dict[str, str] = field(default_factory=dict)  # those who may send; none: everybody
    extensions: tuple[str, ...] = ()

    def will(self, line: str, answer: str, times: int = 1) -> None:
        """Answer the next lines that begin so with this; `greeting` and `.` are such lines, too."""
        self.refusals += [(line, answer)] * times

    def answer_to(self, line: str) -> str | None:
        for one in self.refusals:
            if line.lower().startswith(one[0].lower()):
                self.refusals.remove(one)
                return one[1]
        return None

    def heard(self, word: str) -> list[str]:
        return [line for _, line in self.lines if line.lower().startswith(word.lower())]


class _Closed(Exception):
    """The conversation is over."""


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.box = self.server.box
        self.box.sessions += 1
        self.secure = isinstance(self.connection, ssl.SSLSocket)
        self.user: str | None = None
        self.sender, self.to = "", []
        try:
            self.say(self.box.answer_to("greeting") or "220 postbox.test")
            while line := self.rfile.readline():
                self.obey(line.decode().rstrip("\r\n"))
        except (_Closed, OSError):
            return

    def say(self, answer: str) -> None:
        if answer == "hang up":
            raise _Closed
        while (
            answer.startswith("drip ") and not self.server.over.is_set()
        ):  # until the other side has had enough
            self.wfile.write(answer.removeprefix("drip ").encode() + b"\r\n")
            self.server.over.wait(0.05)
        self.wfile.write(answer.encode() + b"\r\n")
        if answer.startswith("421"):
            raise _Closed

    def obey(self, line: str) -> None:
        self.box.lines.append((self.secure, line))
        refusal = self.box.answer_to(line)
        if refusal is not None:
            self.say(refusal)
            return
        verb = line.partition(" ")[0].upper()
        method = getattr(self, f"on_{verb.lower()}", None)
        if method is None:
            self.say("500 what is that")
            return
        method(line)

    def on_ehlo(self, line: str) -> None:
        offered = [one for one in self.box.extensions if not (one == "STARTTLS" and self.secure)]
        words = ["postbox.test", *offered]
        self.say("\r\n".join(f"250{' ' if one is words[-1] else '-'}{one}" for one in words))

    def on_starttls(self, line: str) -> None:
        assert self.server.context is not None
        self.say("220 go on")
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.secure = True

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def on_auth(self, line: str) -> None:
        _, way, first = line.split(" ")
        assert way == "PLAIN"
        _, user, password = base64.b64decode(first).decode().split("\0")
        if self.box.users.get(user) != password:
            # As some servers do, which is why nobody should show their words.
            self.say(f"535 5.7.8 wrong: {first} {password}")
            return
        self.user = user
        self.say("235 welcome")

    def on_mail(self, line: str) -> None:
        if self.box.users and self.user is None:
            self.say("530 5.7.0 sign in first")
            return
        self.sender, self.to = re.findall("<(.*?)>", line)[0], []
        self.say("250 ok")

    def on_rcpt(self, line: str) -> None:
        self.to.append(re.findall("<(.*?)>", line)[0])
        self.say("250 ok")

    def on_data(self, line: str) -> None:
        self.say("354 go on")
        lines = []
        while (piece := self.rfile.readline()) != b".\r\n":
            assert piece, "it ended in the middle"
            lines.append(piece.removeprefix(b"."))
        refusal = self.box.answer_to(".")
        if refusal is not None:
            self.say(refusal)
            return
        self.box.mails.append(
            Mail(self.sender, tuple(self.to), b"".join(lines), self.secure, self.user)
        )
        self.say("250 taken")

    def on_rset(self, line: str) -> None:
        self.say("250 ok")

    def on_quit(self, line: str) -> None:
        self.say("221 bye")
        raise _Closed


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    box: Postbox
    context: ssl.SSLContext | None
    over: threading.Event

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust this server is no error here."""


@contextmanager
def postbox(
    context: ssl.SSLContext | None = None, *, at_once: bool = False, port: int = 0
) -> Iterator[Postbox]:
    """One that listens. With a context it offers STARTTLS, or speaks TLS `at_once`."""
    server = _Server(("127.0.0.1", port), _Handler)
    server.context, server.over = context, threading.Event()
    server.box = box = Postbox(server.server_address[1])
    if context is not None:
        box.extensions = ("AUTH PLAIN",) if at_once else ("STARTTLS", "AUTH PLAIN")
        if at_once:
            server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield box
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
