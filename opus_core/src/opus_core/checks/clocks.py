"""Clocks that differ: of this machine, of the storage, of the server of files, of the supervisor.

Instants are compared as seconds since 1970, so that no time zone has a say.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from opus_core import process
from opus_core.backends import SUPERVISOR, Storage
from opus_core.checks.installation import Installation
from opus_core.finding import Code, Finding, State, ok

MOST: Final = 3.0
"""[s] that clocks may differ by: with NTP they do by some milliseconds."""

_LEASE: Final = 1.0  # [s]

STORAGE: Final = Code(
    "clock-storage",
    State.ERROR,
    "The clock of the storage, such as a database's host, differs from this machine's by seconds:"
    " destruction, leases and the age of reports are counted wrongly.",
    "Keep both hosts on time, by chrony or systemd-timesyncd.",
)
FILES: Final = Code(
    "clock-files",
    State.ERROR,
    "The clock of the server that has the folders of jobs differs from this machine's by seconds:"
    " starts and ends of jobs are told wrongly.",
    "Keep both hosts on time, by chrony or systemd-timesyncd.",
)
AHEAD: Final = Code(
    "clock-supervisor",
    State.ERROR,
    "The supervisor's last report is of the future: its host's clock is ahead of this machine's.",
    "Keep both hosts on time, by chrony or systemd-timesyncd.",
)


def findings(installation: Installation, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    """`now`: this machine's clock [s since 1970]."""
    storage, folders = installation.storage, installation.folders
    found: list[Finding] = []
    if storage is not None:
        found += differing(STORAGE, "the storage", lambda: of_storage(storage), now)
        health = storage.health().get(SUPERVISOR)
        if health is not None and (ahead := health.heartbeat.timestamp() - now()) > MOST:
            found.append(
                AHEAD(
                    "clock",
                    f"the supervisor's last report is of {ahead:.0f} s from now: set the clock of"
                    " its host or of this one by NTP (chrony, systemd-timesyncd)",
                )
            )
    if folders is not None and os.access(folders.root, os.W_OK):
        root = folders.root
        found += differing(FILES, f"the server of the files in {root}", lambda: of_files(root), now)
    yield from found
    if storage is not None and not found:
        yield ok("clock", "the storage and the files of jobs are on this machine's time")


def differing(
    code: Code,
    whose: str,
    ask: Callable[[], float],
    now: Callable[[], float] = time.time,
) -> Iterator[Finding]:
    """Whether a clock shows an instant before it is asked, or after it has answered."""
    before = now()
    shown = ask()
    after = now()
    skew = shown - after if shown > after else min(0.0, shown - before)
    if abs(skew) > MOST:
        yield code(
            "clock",
            f"the clock of {whose} is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'} of this"
            " machine's: set both by NTP (chrony, systemd-timesyncd)",
        )


def of_storage(storage: Storage) -> float:
    """What the storage's clock shows [s since 1970]: the end of a lease is told by it."""
    holder = process.identity()
    # It may be another check's, of the same second.
    lease = storage.lease("clock", holder, _LEASE)
    storage.release("clock", holder)
    return lease.until.timestamp() - _LEASE


def of_files(folder: Path) -> float:
    """When a file that is written now was changed, as its server says [s since 1970]."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"now")
        file.flush()
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_mtime
