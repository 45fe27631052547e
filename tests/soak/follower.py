"""Somebody who follows all changes, by requests that wait, through everything that happens."""

from __future__ import annotations

import http.client
import json
import threading

from servers import Site
from soak.book import Book

_WAIT = 5  # [s]


class Follower(threading.Thread):
    """Reads `/changes` from its beginning to the end."""

    def __init__(self, site: Site, book: Book) -> None:
        super().__init__(name="follower", daemon=True)
        self.site, self.book = site, book
        self.stopping = threading.Event()
        self.heard: list[tuple[int, str, str | None, str | None]] = []  # seq, job, old, new
        self.last = 0

    def run(self) -> None:
        while not self.stopping.is_set():
            if not self.ask(_WAIT):
                self.stopping.wait(0.2)

    def ask(self, wait: int) -> bool:
        """Ask once; whether there was an answer."""
        try:
            answer = self.site.get(f"/changes?after={self.last}&WAIT={wait}")
        except (OSError, http.client.HTTPException):
            return False  # whether the web may be silent now, the clients find out
        if answer.status != 200:
            if answer.status != 503:
                self.book.fault(f"/changes answered {answer.status}: {answer.text[:300]}")
            return False
        document = json.loads(answer.body)
        if document["reset"]:
            self.book.fault("/changes wants its reader to begin again", "lost")
        for change in document["changes"]:
            if change["seq"] <= self.last:
                self.book.fault(f"change {change['seq']} was told behind {self.last}", "twice")
            self.last = change["seq"]
            self.heard.append((self.last, change["jobId"], change["from"], change["phase"]))
        self.last = max(self.last, document["seq"])
        return bool(document["changes"])

    def catch_up(self) -> None:
        """Read what is left, when nothing happens any more."""
        while self.ask(0):
            pass
