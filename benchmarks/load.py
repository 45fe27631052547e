"""A load of HTTP requests from one process: raw sockets, kept alive, as many at once as asked.

    python -m benchmarks.load '{"host": ..., "port": ..., "requests": [...], ...}'

It runs as a process of its own, so that it and the server have a core each, and answers one line
of JSON. Written for speed: a client that is slower than the server would measure itself.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """What came back."""

    seconds: list[float] = field(default_factory=list)  # of each request
    statuses: dict[str, int] = field(default_factory=dict)
    bytes: int = 0


async def read_answer(reader: asyncio.StreamReader) -> tuple[bytes, int, bool]:
    """One answer: its status, the bytes of its body, and whether the connection stays."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    status = head[9:12]
    keep = b"connection: close" not in lower
    if b"transfer-encoding: chunked" in lower:
        size = 0
        while chunk := int(await reader.readline(), 16):
            size += chunk
            await reader.readexactly(chunk + 2)
        await reader.readline()
        return status, size, keep
    place = lower.find(b"content-length:")
    if place < 0:
        return status, len(await reader.read()), False
    length = int(lower[place + 15 : lower.index(b"\r", place)])
    await reader.readexactly(length)
    return status, length, keep


async def worker(
    host: str, port: int, requests: list[bytes], deadline: float, left: list[int], tally: Tally
) -> None:
    """Send requests one after the other until time or number is used up."""
    reader = writer = None
    number = 0
    while time.perf_counter() < deadline and left[0] > 0:
        left[0] -= 1
        if writer is None or reader is None:
            reader, writer = await asyncio.open_connection(host, port)
        begin = time.perf_counter()
        writer.write(requests[number % len(requests)])
        number += 1
        status, size, keep = await read_answer(reader)
        tally.seconds.append(time.perf_counter() - begin)
        tally.statuses[status.decode()] = tally.statuses.get(status.decode(), 0) + 1
        tally.bytes += size
        if not keep:
            writer.close()
            writer = None
    if writer is not None:
        writer.close()


async def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Carry out a plan: `requests` as text, `connections`, and `seconds` or `number`."""
    requests = [text.encode("latin-1") for text in plan["requests"]]
    tally = Tally()
    left = [plan.get("number", 10**9)]
    begin = time.perf_counter()
    deadline = begin + plan.get("seconds", 600)
    await asyncio.gather(
        *(
            worker(plan["host"], plan["port"], requests, deadline, left, tally)
            for _ in range(plan.get("connections", 8))
        )
    )
    took = time.perf_counter() - begin
    ordered = sorted(tally.seconds)
    return {
        "per_second": len(ordered) / took,
        "count": len(ordered),
        "p50": statistics.median(ordered),
        "p99": ordered[int(len(ordered) * 0.99)] if len(ordered) > 1 else ordered[0],
        "statuses": tally.statuses,
        "bytes_per_second": tally.bytes / took,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.loads(sys.argv[1])))))
