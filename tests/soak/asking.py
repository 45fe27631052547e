"""Somebody who asks, and knows what may be answered."""

from __future__ import annotations

import http.client
import random
import re
import threading
import time

from servers import Answer
from soak.book import Book
from soak.sites import Soaked


class Asking(threading.Thread):
    """Requests, each of which is noted in the book."""

    def __init__(self, site: Soaked, book: Book, seed: str) -> None:
        super().__init__(name=f"client-{seed}", daemon=True)
        self.site, self.book = site, book
        self.dice = random.Random(seed)
        self.stopping = threading.Event()

    def ask(self, method: str, path: str, *expected: int, **options: object) -> Answer | None:
        """The answer; None if there was none. Whatever is not expected is a fault."""
        begin = time.time()
        try:
            answer = self.site.request(method, path, **options)  # type: ignore[arg-type]
        except (OSError, http.client.HTTPException) as error:
            with self.book.lock:
                self.book.cut.append((begin, time.time(), f"{method} {error!r}"))
            self.stopping.wait(0.1)
            return None
        what = f"{method} {path} answered {answer.status}: {answer.body[:300]!r}"
        self.book.count(f"{method} {answer.status}")
        if answer.status == 503 and answer.headers["Retry-After"]:
            with self.book.lock:
                self.book.refused[_sentence(answer)] += 1
            self.stopping.wait(0.2)
        elif answer.status not in expected:
            self.book.fault(what)
        return answer

    def post(self, path: str, *expected: int, **fields: str) -> Answer | None:
        return self.ask("POST", path, *expected, fields=fields)


_SAID = re.compile(r'"error": "(.*)"|role="alert"><p>(.*)</p>')


def _sentence(answer: Answer) -> str:
    """What an error says, in whatever format."""
    found = _SAID.search(answer.text)
    return next(filter(None, found.groups())) if found else answer.text.strip()
