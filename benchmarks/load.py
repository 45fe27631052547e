"""A load of HTTP requests from one process: raw sockets, kept alive, as many at once as asked.

    python -m benchmarks.load < PLAN

PLAN is a JSON document: `host` and `port`, `tls`, `requests` (each a `text` as it is sent, and the
`statuses` that are right for it), `connections`, and `seconds` or `number` or both. It runs as a
process of its own, so that it and the server have a core each, and answers one line of JSON;
`wrong` in it is the first answer that was not right, behind which no more is sent. Written for
speed: a client that is slower than the server would measure itself.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any

_LOCATION = re.compile(rb"\r\nlocation: *([^\r]+)", re.IGNORECASE)
_CUT_OFF = (ConnectionError, asyncio.IncompleteReadError)


@dataclass
class Answer:
    """What came for one request."""

    status: int
    head: bytes
    body: bytes
    size: int  # of the body
    stays: bool  # the connection


@dataclass
class Tally:
    """What came back."""

    left: int  # requests that may still be sent
    seconds: list[float] = field(default_factory=list)  # of each request
    locations: list[str] = field(default_factory=list)
    bytes: int = 0
    wrong: str = ""


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """One answer; of its body only the first piece is kept."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    status = int(head[9:12])
    stays = b"connection: close" not in lower
    if head.startswith(b"HTTP/1.0"):
        stays = b"connection: keep-alive" in lower
    if status in (204, 304):
        return Answer(status, head, b"", 0, stays)
    if b"transfer-encoding: chunked" in lower:
        size, first = 0, b""
        while length := int((await reader.readline()).partition(b";")[0], 16):
            piece = await reader.readexactly(length + 2)
            first, size = first or piece, size + length
        await reader.readline()
        return Answer(status, head, first, size, stays)
    place = lower.find(b"\r\ncontent-length:")
    if place < 0:
        body = await reader.read(-1)
        return Answer(status, head, body, len(body), stays=False)
    length = int(lower[place + 17 : lower.index(b"\r", place + 2)])
    return Answer(status, head, await reader.readexactly(length), length, stays)


class Worker:
    """One connection, made again when the server has closed it."""

    def __init__(self, plan: dict[str, Any], tally: Tally) -> None:
        self._plan = plan
        self._tally = tally
        self._requests = [
            (one["text"].encode("latin-1"), set(one["statuses"])) for one in plan["requests"]
        ]
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def run(self, deadline: float) -> None:
        """Send requests one after the other until time or number is used up, or one went wrong."""
        tally, number = self._tally, 0
        while tally.left > 0 and not tally.wrong and time.perf_counter() < deadline:
            tally.left -= 1
            text, statuses = self._requests[number % len(self._requests)]
            number += 1
            begin = time.perf_counter()
            try:
                answer = await self._answer(text)
            except (OSError, asyncio.IncompleteReadError) as error:
                tally.wrong = tally.wrong or f"{_line(text)}: {error!r}"
                break
            tally.seconds.append(time.perf_counter() - begin)
            tally.bytes += answer.size
            if answer.status not in statuses:
                said = answer.body[:200].decode("latin-1").strip()
                tally.wrong = tally.wrong or f"{_line(text)} answered {answer.status}: {said}"
            if found := _LOCATION.search(answer.head):
                tally.locations.append(found[1].decode("latin-1"))
        self._close()

    async def _answer(self, text: bytes) -> Answer:
        if self._reader is not None:
            try:
                return await self._ask(text)
            except _CUT_OFF:
                self._close()  # a server may close what it kept; the request is sent once more
        self._reader, self._writer = await asyncio.open_connection(
            self._plan["host"], self._plan["port"], ssl=self._plan.get("tls") or None
        )
        return await self._ask(text)

    async def _ask(self, text: bytes) -> Answer:
        assert self._reader is not None
        assert self._writer is not None
        self._writer.write(text)
        answer = await read_answer(self._reader)
        if not answer.stays:
            self._close()
        return answer

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def _line(text: bytes) -> str:
    return " ".join(text.decode("latin-1").split(" ", 2)[:2])


async def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Carry out a plan."""
    tally = Tally(left=plan.get("number", 10**9))
    workers = [Worker(plan, tally) for _ in range(plan.get("connections", 8))]
    begin = time.perf_counter()
    deadline = begin + plan.get("seconds", 600)
    await asyncio.gather(*(worker.run(deadline) for worker in workers))
    took = time.perf_counter() - begin
    if tally.wrong or not tally.seconds:
        return {"wrong": tally.wrong or "there was no time for a single request"}
    ordered = sorted(tally.seconds)
    return {
        "per_second": len(ordered) / took,
        "count": len(ordered),
        "p50": statistics.median(ordered),
        "p99": ordered[int(len(ordered) * 0.99)],
        "bytes_per_second": tally.bytes / took,
        "locations": tally.locations if plan.get("locations") else [],
        "wrong": "",
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.load(sys.stdin)))))
