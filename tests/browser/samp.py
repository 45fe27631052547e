"""A SAMP hub with the Web Profile, and programs that pages send results to."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any
from unittest.mock import patch

from pyvo.samp import SAMPHubServer, SAMPIntegratedClient, WebProfileDialog

PORT = 21012  # every hub's
VOTABLE, IMAGE, TABLE = "table.load.votable", "image.load.fits", "table.load.fits"


class Answer(WebProfileDialog):
    """What the hub's user says when a page wants to take part."""

    def __init__(self, *, allows: bool) -> None:
        super().__init__()
        self.allows = allows
        self.asked: list[str] = []

    def show_dialog(self, samp_name: str, *details: Any) -> None:
        self.asked.append(samp_name)
        (self.consent if self.allows else self.reject)()

    def serve(self, over: threading.Event) -> None:
        """Look at what is asked, as the main loop of a program with windows would."""
        while not over.wait(0.05):
            self.handle_queue()


@contextmanager
def hub(folder: Path, *, allows: bool = True) -> Iterator[Answer]:
    """A hub that runs, and says in that folder where it is, instead of in somebody's home."""
    lockfile = folder / "samp"
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", PORT))  # or somebody else's hub would be asked
    answer = Answer(allows=allows)
    server = SAMPHubServer(lockfile=str(lockfile), addr="127.0.0.1", web_profile_dialog=answer)
    server.start()
    over = threading.Event()
    thread = threading.Thread(target=answer.serve, args=(over,))
    thread.start()
    try:
        with patch.dict(os.environ, SAMP_HUB=f"std-lockurl:file://{lockfile}"):
            yield answer
    finally:
        over.set()
        thread.join()
        server.stop()


@contextmanager
def program(name: str, *types: str) -> Iterator[Queue[tuple[str, dict[str, str]]]]:
    """One that takes messages of these types; what it is told."""
    told: Queue[tuple[str, dict[str, str]]] = Queue()
    client = SAMPIntegratedClient(name=name, addr="127.0.0.1")
    client.connect()
    try:
        for one in types:
            client.bind_receive_notification(
                one, lambda key, sender, kind, params, extra: told.put((kind, params))
            )
        yield told
    finally:
        client.disconnect()
