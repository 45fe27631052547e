"""Many clients that WAIT for the end of one job, each on a connection of its own.

One thread plays them all. A client that is answered while the job is still PENDING asks again
after a pause, as one has to whom a server had no slot to give. It has its answer when it is told
that the job is ABORTED.
"""

from __future__ import annotations

import re
import selectors
import socket
import threading
import time
import urllib.parse
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from benchmarks.asking import get
from benchmarks.figure import Failed

PAUSE = 1.0  # [s] between an answer and the next question
HELD = 1.0  # [s] without an answer after which a client is held

_BEFORE, _AFTER = "PENDING", "ABORTED"
_PHASE = re.compile(rb"<(?:\w+:)?phase>(\w+)<")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(eq=False)
class _Client:
    socket: socket.socket
    asked: float = 0.0  # when; 0 while it is not asking
    again: float = 0.0  # when to ask
    data: bytes = b""
    answers: list[str] = field(default_factory=list)  # phases, or what was wrong
    told: float = 0.0  # when it was told the end

    def take(self, data: bytes) -> bool:
        """Whether an answer is whole now."""
        self.data += data
        head, blank, body = self.data.partition(b"\r\n\r\n")
        if not data:
            self.answers.append("cut off")
            return True
        found = _LENGTH.search(head)
        if not blank or (found and len(body) < int(found[1])):
            return False
        phase = _PHASE.search(body)
        if not head.startswith(b"HTTP/1.1 200 ") or phase is None:
            self.answers.append(self.data[:200].decode("latin-1"))
        else:
            self.answers.append(phase[1].decode())
        self.data = b""
        return True


class Crowd:
    """Waits in the background from the moment it is entered until it is left."""

    def __init__(self, job: str, count: int, *, wait: int) -> None:
        parts = urllib.parse.urlsplit(job)
        self._address = (parts.hostname or "", parts.port or 80)
        self._text = get(f"{job}?WAIT={wait}").text().encode()
        self._count = count
        self._clients: list[_Client] = []
        self._leaving = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="crowd", daemon=True)

    def __enter__(self) -> Crowd:
        for _ in range(self._count):
            self._clients.append(_Client(socket.create_connection(self._address)))
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._leaving.set()
        self._thread.join()
        for client in self._clients:
            client.socket.close()

    @property
    def held(self) -> int:
        """How many have been without an answer for a while now."""
        then = time.perf_counter() - HELD
        return sum(0 < client.asked < then for client in self._clients)

    @property
    def asked_again(self) -> int:
        """How often a client was answered before the end."""
        return sum(answer == _BEFORE for client in self._clients for answer in client.answers)

    def told(self, seconds: float) -> list[float]:
        """Wait until all have been told the end; answers when each of them was, in order.

        Whoever was told anything but the truth, at any time, is not among them.
        """
        self._done.wait(seconds)
        return sorted(
            client.told
            for client in self._clients
            if client.told and all(one in (_BEFORE, _AFTER) for one in client.answers)
        )

    def wrong(self) -> str:
        """An answer that nobody should have got; empty if there was none."""
        for client in self._clients:
            for answer in client.answers:
                if answer not in (_BEFORE, _AFTER):
                    return answer
        return ""

    def _run(self) -> None:
        asking = deque(self._clients)  # those who are to ask, in the order of their times
        left = len(self._clients)
        with selectors.DefaultSelector() as selector:
            for client in self._clients:
                selector.register(client.socket, selectors.EVENT_READ, client)
            while left and not self._leaving.is_set():
                while asking and asking[0].again <= time.perf_counter():
                    self._ask(asking.popleft())
                for key, _ in selector.select(0.02):
                    client = key.data
                    if not self._heard(client):
                        continue
                    if client.answers[-1] == _BEFORE:
                        asking.append(client)
                    else:
                        selector.unregister(client.socket)
                        left -= 1
        if not left:
            self._done.set()

    def _ask(self, client: _Client) -> None:
        client.asked = time.perf_counter()
        with suppress(ConnectionError):  # it is heard that the connection is cut off
            client.socket.sendall(self._text)

    def _heard(self, client: _Client) -> bool:
        """Whether there is a whole answer."""
        try:
            data = client.socket.recv(65536)
        except ConnectionError:
            data = b""
        now = time.perf_counter()
        if not client.take(data):
            return False
        client.asked, client.again = 0.0, now + PAUSE
        if client.answers[-1] == _AFTER:
            client.told = now
        return True


def one_more(job: str, *, wait: int = 5) -> None:
    """Make sure that all slots are taken inside the server: who asks then is answered at once.

    Were some of those without an answer still in a queue, there would be a slot for this one.
    """
    begin = time.perf_counter()
    with Crowd(job, 1, wait=wait) as crowd:
        while not crowd.asked_again and not crowd.wrong():
            if time.perf_counter() - begin > HELD:
                raise Failed(
                    f"one more waits {HELD:g} s and longer: those without an answer do not all have"
                    " a slot"
                )
            time.sleep(0.01)
    if crowd.wrong():
        raise Failed(f"one more that waits is answered: {crowd.wrong()}")
