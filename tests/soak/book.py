"""What clients were promised, by which the verdict goes."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

NO, ASKED, YES = 0, 1, 2  # what became of a wish: ASKED is one whose answer never came


@dataclass(frozen=True)
class Upload:
    """A file that can be made again, so that nobody has to keep thousands of them."""

    seed: int
    size: int

    @property
    def content(self) -> bytes:
        return random.Random(self.seed).randbytes(self.size)


@dataclass
class Entry:
    """One job as its client knows it."""

    word: str  # its RUNID
    text: str = "hello"
    manner: str = "plain"
    seconds: float = 0.0
    code: int = 0
    limit: int = 0  # [s], its EXECUTIONDURATION
    upload: Upload | None = None
    key: str = ""  # its Idempotency-Key
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
        return self.text.encode() + (self.upload.content if self.upload else b"")

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
        self.read = 0  # bytes of files that were compared

    def fault(self, sentence: str, kind: str = "wrong") -> None:
        with self.lock:
            self.faults.append(f"{kind}: {datetime.now(UTC):%H:%M:%S} {sentence}")

    def count(self, what: str) -> None:
        with self.lock:
            self.asked[what] += 1

    def close(self, entry: Entry) -> None:
        with self.lock:
            if entry in self.open:
                self.open.remove(entry)
                self.over.append(entry)

    def any(self, dice: random.Random, entries: list[Entry]) -> Entry | None:
        with self.lock:
            return dice.choice(entries) if entries else None

    def whole(self, entry: Entry) -> bool:
        """Its output is what it was told to write: what was stopped may have been writing."""
        return not (entry.abort or entry.limit or entry.id in self.hurt)

    def compare(self, what: str, found: bytes, expected: bytes) -> None:
        """A fault if it is not the same, byte for byte."""
        with self.lock:
            self.read += len(found)
        if found != expected:
            digests = [hashlib.sha256(one).hexdigest()[:16] for one in (found, expected)]
            self.fault(
                f"{what} has {len(found)} bytes ({digests[0]}...), not {len(expected)}"
                f" ({digests[1]}...)"
            )
