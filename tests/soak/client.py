"""Clients that do all that clients do, at random, and keep book of what they were promised."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from soak.book import ASKED, NO, YES, Book, Entry, Upload
from soak.job import JOB
from soak.reader import Reader
from soak.sites import Soaked


class Client(Reader):
    """Asks without a pause until it is told to stop."""

    def __init__(self, site: Soaked, book: Book, seed: str, *, most: int) -> None:
        super().__init__(site, book, seed)
        self.most = most  # jobs that are open at once
        self.numbers = itertools.count()
        self.deeds: dict[Callable[[], None], int] = {
            self.create: 30,
            self.run_pending: 10,
            self.abort: 5,
            self.delete: 6,
            self.destroy: 2,
            self.wait: 16,
            self.show: 12,
            self.result: 10,
            self.file: 4,
            self.sync: 3,
            self.list: 4,
            self.walk: 3,
            self.set_text: 3,
        }

    def run(self) -> None:
        while not self.stopping.is_set():
            (deed,) = self.dice.choices(list(self.deeds), list(self.deeds.values()))
            try:
                deed()
            except Exception as error:
                self.book.fault(f"the client's {deed.__name__} failed: {error!r}")
            self.stopping.wait(self.dice.expovariate(20))

    def create(self) -> None:
        if len(self.book.open) >= self.most:
            self.wait()
            return
        entry = self.invent()
        entry.run = ASKED if self.dice.random() < 0.7 else NO
        if self.dice.random() < 0.5:
            entry.key = secrets.token_hex(8)
        body, headers = self.form(entry, PHASE="RUN" if entry.run else "")
        with self.book.lock:
            self.book.entries.append(entry)
        while True:
            answer = self.ask("POST", f"/rest/{JOB}", 303, body=body, headers=headers)
            if answer is not None and answer.status == 303:
                break
            # With a key it may be said again, and is still one job.
            if not entry.key or self.stopping.is_set():
                return
        with self.book.lock:
            entry.url = answer.location
            entry.run = YES if entry.run else NO
            self.book.open.append(entry)
        if entry.key and self.dice.random() < 0.3:
            self.repeat(entry, body, headers)

    def repeat(self, entry: Entry, body: bytes, headers: dict[str, str]) -> None:
        """The same request again is answered by the same job, whatever has become of it; another
        one with its key is refused."""
        # 404: somebody has deleted it meanwhile, and it is not made anew.
        again = self.ask("POST", f"/rest/{JOB}", 303, 404, body=body, headers=headers)
        if again is not None and again.status == 404 and not entry.delete:
            self.book.fault(f"{entry.url} is not there when asked again", "lost")
        if again is not None and again.status == 303:
            self.book.count("creation repeated")
            if again.location != entry.url:
                self.book.fault(f"{entry.url} is {again.location} when asked again", "twice")
        other = body.replace(b"hello", b"other").replace(entry.word.encode(), b"somebody else")
        self.ask("POST", f"/rest/{JOB}", 409, body=other, headers=headers)

    def invent(self) -> Entry:
        """A job that has not been asked for yet."""
        dice = self.dice
        entry = Entry(
            word=f"{self.name}-{next(self.numbers)}",
            text=dice.choice(["hello", "näher", "two\nlines", ""]),
            manner=dice.choices(["plain", "stubborn", "littering"], [8, 1, 1])[0],
            seconds=dice.choice([0, 0, 0, 0.1, 0.3, 1, 2]),
            code=dice.choices([0, 3], [9, 1])[0],
        )
        if dice.random() < 0.05:
            entry.limit, entry.seconds = 1, 30
        if dice.random() < 0.25:
            size = dice.choices([1, 10, 100_000, dice.randrange(2, 5) * 2**20], [2, 3, 4, 1])[0]
            entry.upload = self.upload(size)
        return entry

    def upload(self, size: int) -> Upload:
        """Another file."""
        return Upload(seed=self.dice.getrandbits(32), size=size)

    def form(self, entry: Entry, **more: str) -> tuple[bytes, dict[str, str]]:
        """The request that makes it."""
        fields = {
            "ledgers": str(self.site.folder / "ledgers"),
            "RUNID": entry.word,
            "text": entry.text,
            "manner": entry.manner,
            "seconds": str(entry.seconds),
            "code": str(entry.code),
            "EXECUTIONDURATION": str(entry.limit or ""),
            **more,
        }
        body, kind = _form(
            {name: value for name, value in fields.items() if value or name == "text"},
            entry.upload.content if entry.upload else b"",
        )
        return body, {
            "Content-Type": kind,
            **({"Idempotency-Key": entry.key} if entry.key else {}),
        }

    def sync(self) -> None:
        """Made, run and answered in one request."""
        entry = self.invent()
        entry.run = ASKED
        entry.seconds, entry.limit = min(entry.seconds, 1), 0
        body, headers = self.form(entry)
        with self.book.lock:
            self.book.entries.append(entry)
        # 422: it came to nothing. 303: it is not over yet.
        path = f"/rest/{JOB}/sync"
        answer = self.ask("POST", path, 200, 303, 422, body=body, headers=headers)
        if answer is None or answer.status == 503:
            return
        where = answer.headers["Location"] or answer.headers["Content-Location"] or ""
        with self.book.lock:
            entry.run = YES
            entry.url = where.partition("/results/")[0].removesuffix("/error")
            (self.book.open if answer.status == 303 else self.book.over).append(entry)
        if answer.status == 200:
            self.book.compare(f"the answer of sync by {entry.url}", answer.body, entry.output)
        elif answer.status == 422 and not entry.code and self.book.whole(entry):
            self.book.fault(f"sync came to nothing: {answer.text.strip()}")

    def run_pending(self) -> None:
        entry = self.book.any(self.dice, [e for e in list(self.book.open) if e.run == NO])
        if entry is None:
            return
        entry.run = ASKED
        answer = self.post(f"{entry.url}/phase", 303, 403, 404, PHASE="RUN")
        if answer is not None and answer.status == 303:
            entry.run = YES

    def abort(self) -> None:
        entry = self.book.any(self.dice, self.book.open)
        if entry is None:
            return
        entry.abort = max(entry.abort, ASKED)
        begin = time.monotonic()
        answer = self.post(f"{entry.url}/phase", 303, 404, PHASE="ABORT")
        if answer is not None and answer.status == 303:
            entry.abort = YES
            took = time.monotonic() - begin
            self.book.count(f"ABORT answered in {'2.5 s' if took < 2.5 else 'more'}")

    def delete(self) -> None:
        entry = self.book.any(self.dice, self.dice.choice([self.book.open, self.book.over]))
        if entry is None:
            return
        entry.delete = max(entry.delete, ASKED)
        if self.dice.random() < 0.5:
            answer = self.ask("DELETE", entry.url, 303, 404)
        else:
            answer = self.post(entry.url, 303, 404, ACTION="DELETE")
        if answer is not None and answer.status == 303:
            entry.delete = YES
            self.book.close(entry)
            again = self.ask("GET", entry.url, 404)
            if again is not None and again.status == 200:
                self.book.fault(f"{entry.url} was deleted and is still shown")

    def destroy(self) -> None:
        """A destruction time that is about to come."""
        entry = self.book.any(self.dice, self.book.open + self.book.over[-20:])
        if entry is None:
            return
        entry.delete = max(entry.delete, ASKED)
        soon = datetime.now(UTC) + timedelta(seconds=self.dice.choice([-1, 1, 3]))
        text = soon.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        answer = self.post(f"{entry.url}/destruction", 303, 404, DESTRUCTION=text)
        if answer is not None and answer.status == 303:
            entry.delete = YES

    def set_text(self) -> None:
        entry = self.book.any(self.dice, [e for e in list(self.book.open) if e.run == NO])
        if entry is None:
            return
        self.post(f"{entry.url}/parameters", 303, 403, 404, code=str(entry.code))


def _form(fields: dict[str, str], file: bytes) -> tuple[bytes, str]:
    """A multipart form."""
    edge = secrets.token_hex(16)
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if file:
        head = 'Content-Disposition: form-data; name="file"; filename="a.bin"'
        kind = "Content-Type: application/octet-stream"
        parts.append(f"--{edge}\r\n{head}\r\n{kind}\r\n\r\n".encode() + file + b"\r\n")
    return b"".join(parts) + f"--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"
