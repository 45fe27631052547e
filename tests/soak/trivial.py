"""Many jobs that do next to nothing, eight in flight: each runs once and none is stuck."""

from __future__ import annotations

import itertools
import re
import threading
import time

from servers import OVER
from soak import gauges
from soak.book import ASKED, YES, Book, Entry
from soak.job import JOB
from soak.sites import Soaked
from soak.verdict import Verdict, judge, settle

_IN_FLIGHT = 8
_LONGEST = 60.0  # [s] from its creation to its end; what takes longer is stuck
_SETTLES = 60.0


def trivial(site: Soaked, number: int) -> Verdict:
    """Run them all, on a server of their own, and look at what is left when it is quiet."""
    book = Book()
    server = site.serve()
    numbers = itertools.count()
    before = gauges.memory(server.pid)
    begin = time.monotonic()
    clients = [
        threading.Thread(target=_client, args=(site, book, numbers, number), daemon=True)
        for _ in range(_IN_FLIGHT)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    took = time.monotonic() - begin
    settle(site, _SETTLES)
    verdict = judge(site, book, [])
    gained = gauges.memory(server.pid) - before
    verdict.notes.insert(0, f"{number} jobs in {took:.0f} s: {number / took:.1f} jobs/s")
    verdict.notes.insert(1, f"memory of the server: {gained:.0f} MiB more than at its start")
    return verdict


def _client(site: Soaked, book: Book, numbers: itertools.count[int], most: int) -> None:
    while (number := next(numbers)) < most:
        entry = Entry(word=f"trivial-{number}", run=ASKED)
        with book.lock:
            book.entries.append(entry)
        try:
            phase = _run(site, entry)
        except Exception as error:
            book.fault(f"{entry.word} failed: {error!r}")
            continue
        if phase != "COMPLETED":
            book.fault(f"{entry.id} is {phase} after {_LONGEST:.0f} s at most")


def _run(site: Soaked, entry: Entry) -> str:
    """The phase in which it ended, or is stuck."""
    deadline = time.monotonic() + _LONGEST
    fields = {"ledgers": str(site.folder / "ledgers"), "RUNID": entry.word}
    entry.url = site.create(JOB, fields)
    entry.run = YES
    phase = ""
    while phase not in OVER and time.monotonic() < deadline:
        query = f"?WAIT=10&PHASE={phase}" if phase else "?WAIT=10"
        answer = site.get(entry.url + query)
        assert answer.status == 200, answer.text
        phase = re.search(r"<(?:\w+:)?phase>(\w+)<", answer.text)[1]
    return phase
