"""Clients that do all that clients do, at random, and keep book of what they were promised."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from servers import OVER, Answer, Site

NO, ASKED, YES = 0, 1, 2  # what became of a wish: ASKED is one whose answer never came

JOB = "soak"
WADL = """<?xml version="1.0" encoding="UTF-8"?>
<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:xs="http://www.w3.org/2001/XMLSchema"
    xmlns:opus="urn:opus:jdl:1">
  <resources base="http://localhost/rest/">
    <resource id="joblist" path="soak">
      <doc title="description">Says in a ledger that it ran, and behaves as it is told</doc>
      <method id="create_job" name="POST">
        <request>
          <param style="query" name="ledgers" type="xs:string" required="true"/>
          <param style="query" name="text" type="xs:string" default="hello"/>
          <param style="query" name="manner" type="xs:string" default="plain"/>
          <param style="query" name="seconds" type="xs:double" default="0"/>
          <param style="query" name="code" type="xs:int" default="0"/>
          <param style="query" name="file" type="xs:anyURI" required="false" opus:kind="used"
              opus:content_type="application/octet-stream" opus:multiplicity="0"/>
        </request>
      </method>
      <resource id="job" path="{job-id}">
        <resource id="job_result_name" path="results/{result-id}">
          <param style="template" name="result-id" type="xs:string" required="true">
            <option value="output" mediaType="text/plain"><doc>The text and the file</doc></option>
          </param>
        </resource>
      </resource>
    </resource>
  </resources>
</application>
"""
SCRIPT = """\
id=${OPUS_PARAMETERS%/*}
id=${id##*/}
echo "$id $$" >> "$ledgers/$id"
printf '%s' "$text" > "$output"
[[ -z $file ]] || cat "$file" >> "$output"
case $manner in
  stubborn) trap '' TERM ;;
  littering) sleep 600 & setsid sleep 600 & ;;
esac
echo "50 half way" > "$OPUS_PROGRESS"
echo "sleeping for $seconds s"
sleep "$seconds"
exit "$code"
"""


@dataclass
class Entry:
    """One job as its client knows it."""

    word: str  # its RUNID
    text: str = "hello"
    manner: str = "plain"
    seconds: float = 0.0
    code: int = 0
    limit: int = 0  # [s], its EXECUTIONDURATION
    file: bytes = b""
    url: str = ""  # empty while no answer has named it
    run: int = NO
    abort: int = NO
    delete: int = NO
    created: float = field(default_factory=time.time)

    @property
    def id(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def output(self) -> bytes:
        return self.text.encode() + self.file

    @property
    def end(self) -> str:
        """How it ends if nobody interferes."""
        if self.limit and self.limit < self.seconds:
            return "ABORTED"
        return "ERROR" if self.code else "COMPLETED"


class Book:
    """All jobs, and everything that no client should ever see."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.entries: list[Entry] = []
        self.open: list[Entry] = []  # acknowledged, and not yet seen to be over
        self.over: list[Entry] = []
        self.hurt: set[str] = set()  # ids of jobs of which a process was killed
        self.faults: list[str] = []
        self.refused: Counter[str] = Counter()  # 503, by their sentences
        self.cut: list[tuple[float, float, str]] = []  # requests without an answer
        self.asked: Counter[str] = Counter()

    def fault(self, sentence: str) -> None:
        with self.lock:
            self.faults.append(f"{datetime.now(UTC):%H:%M:%S} {sentence}")

    def close(self, entry: Entry) -> None:
        with self.lock:
            if entry in self.open:
                self.open.remove(entry)
                self.over.append(entry)

    def any(self, dice: random.Random, entries: list[Entry]) -> Entry | None:
        with self.lock:
            return dice.choice(entries) if entries else None


class Client(threading.Thread):
    """Asks without a pause until it is told to stop."""

    def __init__(self, site: Site, book: Book, seed: str, *, most: int) -> None:
        super().__init__(name=f"client-{seed}", daemon=True)
        self.site, self.book, self.most = site, book, most
        self.dice = random.Random(seed)
        self.stopping = threading.Event()
        self.numbers = itertools.count()
        self.deeds: dict[Callable[[], None], int] = {
            self.create: 30,
            self.run_pending: 10,
            self.abort: 5,
            self.delete: 6,
            self.destroy: 2,
            self.wait: 16,
            self.show: 12,
            self.result: 8,
            self.list: 5,
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

    # -- one request

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
        with self.book.lock:
            self.book.asked[f"{method} {answer.status}"] += 1
        if answer.status == 503 and answer.headers["Retry-After"]:
            with self.book.lock:
                self.book.refused[answer.text.strip()] += 1
            self.stopping.wait(0.2)
        elif answer.status not in expected:
            self.book.fault(what)
        return answer

    def post(self, path: str, *expected: int, **fields: str) -> Answer | None:
        return self.ask("POST", path, *expected, fields=fields)

    # -- what clients do

    def create(self) -> None:
        if len(self.book.open) >= self.most:
            self.wait()
            return
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
        if dice.random() < 0.2:
            entry.file = dice.randbytes(dice.choice([0, 10, 100_000]))
        entry.run = ASKED if dice.random() < 0.7 else NO
        fields = {
            "ledgers": str(self.site.folder / "ledgers"),
            "RUNID": entry.word,
            "text": entry.text,
            "manner": entry.manner,
            "seconds": str(entry.seconds),
            "code": str(entry.code),
            **({"EXECUTIONDURATION": str(entry.limit)} if entry.limit else {}),
            **({"PHASE": "RUN"} if entry.run else {}),
        }
        body, kind = _form(fields, entry.file)
        key = secrets.token_hex(8) if dice.random() < 0.5 else ""
        headers = {"Content-Type": kind, **({"Idempotency-Key": key} if key else {})}
        with self.book.lock:
            self.book.entries.append(entry)
        while True:
            answer = self.ask("POST", f"/rest/{JOB}", 303, body=body, headers=headers)
            if answer is not None and answer.status == 303:
                with self.book.lock:
                    entry.url = answer.location
                    entry.run = YES if entry.run else NO
                    self.book.open.append(entry)
                return
            # With a key it may be said again, and is still one job.
            if not key or self.stopping.is_set():
                return

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
            with self.book.lock:
                self.book.asked[f"ABORT answered in {'2.5 s' if took < 2.5 else 'more'}"] += 1

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

    def wait(self) -> None:
        entry = self.book.any(self.dice, [e for e in list(self.book.open) if e.run])
        if entry is None:
            return
        seconds = self.dice.choice([1, 2, 3])
        begin = time.monotonic()
        answer = self.ask("GET", f"{entry.url}?WAIT={seconds}", 200, 404)
        took = time.monotonic() - begin
        if answer is not None and took > seconds + 5:
            with self.book.lock:
                self.book.asked[f"WAIT={seconds} answered more than 5 s late"] += 1
        self.see(entry, answer)

    def show(self) -> None:
        entry = self.book.any(self.dice, self.book.open)
        if entry is None:
            return
        what = self.dice.choice(["", "/phase", "/stdout", "/parameters", "/results", "/quote"])
        accept = self.dice.choice(["application/xml", "application/json", "text/html"])
        # 406: an atom is text.  404: deleted, or no stdout yet.
        answer = self.ask("GET", entry.url + what, 200, 404, 406, headers={"Accept": accept})
        if not what and accept == "application/xml":
            self.see(entry, answer)

    def see(self, entry: Entry, answer: Answer | None) -> None:
        """Believe what a job document says, if it may say so."""
        if answer is None or answer.status == 503:
            return
        if answer.status == 404:
            if not entry.delete:
                self.book.fault(f"{entry.url} is not there, and nobody deleted it")
            self.book.close(entry)
            return
        if any(f"phase>{end}<".encode() in answer.body for end in OVER):
            self.book.close(entry)

    def result(self) -> None:
        entry = self.book.any(self.dice, self.book.over[-50:])
        if entry is None:
            return
        answer = self.ask("GET", f"{entry.url}/results/output", 200, 404)
        if answer is not None and answer.status == 200:
            # What was stopped may have been stopped while it was writing.
            whole = not (entry.abort or entry.limit or entry.id in self.book.hurt)
            if whole and answer.body != entry.output:
                digest = hashlib.sha256(answer.body).hexdigest()
                self.book.fault(f"{entry.url} has another output: {len(answer.body)}, {digest}")

    def list(self) -> None:
        query = self.dice.choice(["", "?LAST=20", "?PHASE=EXECUTING&PHASE=QUEUED", "?LIMIT=50"])
        self.ask("GET", f"/rest/{JOB}{query}", 200)

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
