"""A large result, and a large upload."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator

from benchmarks.asking import SEE_OTHER, ask, connect, get
from benchmarks.figure import Failed, Figure
from benchmarks.jobs import OVER
from benchmarks.memory import Growth
from benchmarks.site import Site, new_site

MIB = 1024**2
MB = 1e6

_ROUNDS = 3
_LONGEST = 120.0  # [s] that the job may take to write its result


def figures(quick: bool) -> Iterator[Figure]:
    """A server for each, since memory that was used once is not given back."""
    mib = 128 if quick else 1024
    with new_site() as site:
        with site.serve():
            yield _download(site, mib)
        with site.serve() as pid:
            yield from _upload(site, pid, mib)


def _download(site: Site, mib: int) -> Figure:
    job = site.create("big", PHASE="RUN", mib=str(mib))
    deadline = time.monotonic() + _LONGEST
    while (phase := ask(get(f"{job}/phase")).text) not in OVER and time.monotonic() < deadline:
        time.sleep(0.2)
    if phase != "COMPLETED":
        raise Failed(f"the job that writes a result of {mib} MiB is {phase} after all")
    rates = []
    for _ in range(_ROUNDS):
        size, took = download(f"{job}/results/out")
        if size != mib * MIB:
            raise Failed(f"the result came with {size} bytes, not {mib * MIB}")
        rates.append(size / MB / took)
    return Figure("download", statistics.median(rates), "MB/s", floor=400, note=f"of {mib} MiB")


def download(url: str, headers: dict[str, str] | None = None) -> tuple[int, float]:
    """Read it into one piece of memory and forget it; its size [byte] and how long it took [s]."""
    room = memoryview(bytearray(MIB))
    size = 0
    connection = connect(url)
    try:
        begin = time.perf_counter()
        request = get(url)
        connection.request("GET", request.target, headers=headers or {})
        response = connection.getresponse()
        if response.status != 200:
            raise Failed(f"GET {url} answered {response.status}")
        while count := response.readinto(room):
            size += count
        return size, time.perf_counter() - begin
    finally:
        connection.close()


def _upload(site: Site, pid: int, mib: int) -> Iterator[Figure]:
    site.create()  # whatever is loaded with the first request
    growth = Growth(pid)
    begin = time.perf_counter()
    _send(site, mib)
    took = time.perf_counter() - begin
    yield Figure("upload", mib * MIB / MB / took, "MB/s", note=f"of {mib} MiB")
    yield Figure("upload, memory", growth.mib, "MiB", ceiling=20)


def _send(site: Site, mib: int) -> None:
    head = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n"
    )
    tail = b"\r\n--b--\r\n"
    piece = os.urandom(MIB)

    def body() -> Iterator[bytes]:
        yield head
        for _ in range(mib):
            yield piece
        yield tail

    connection = connect(site.url)
    try:
        headers = {
            "Content-Type": "multipart/form-data; boundary=b",
            "Content-Length": str(len(head) + mib * MIB + len(tail)),
        }
        connection.request("POST", "/rest/nothing", body(), headers)
        response = connection.getresponse()
        if response.status != SEE_OTHER:
            raise Failed(f"an upload of {mib} MiB answered {response.status}: {response.read()!r}")
    finally:
        connection.close()
