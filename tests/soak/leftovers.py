"""What is left when all is quiet: processes, files, sizes, and what the logs say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from soak import gauges
from soak.databases import Row
from soak.sites import Soaked

_WARNED = 8  # sentences that are shown
_OF_A_ROW = 8 * 2**10  # bytes of the database that a job may take, indexes and slack included
_OF_A_CHANGE = 1 * 2**10  # bytes of an entry of the journal, the same
_OF_A_DATABASE = 24 * 2**20  # bytes that are there in any case: pages of its own, a log of writes
_OF_A_FOLDER = 64 * 2**10  # bytes of a job's folder beside uploads, results and what it printed


def leftovers(site: Soaked, rows: dict[str, Row]) -> Iterator[str]:
    """Processes and files that belong to nothing."""
    for pid, job_id in gauges.job_processes(site):
        yield f"left: process {pid} of {job_id}"
    data = site.folder / "data"
    for folder in (data / "jobs").glob("??/*"):
        # Half built, half removed, or made for a request that was cut off: swept after a day.
        young = folder.name.startswith(".") or not (folder / "run").exists()
        if folder.name not in rows and not young:
            yield f"left: the folder {folder.name} belongs to no job"
    local = data / "local"
    for kind in ("records", "launched", "aborted"):
        names = [path.name for path in local.glob(f"{kind}/*")]
        left = [name for name in names if kind != "records" or not name.endswith(".")]
        if left or len(names) > 1:
            yield f"left: the local manager still has {kind}: {names[:5]}"
    stray = [path.name for path in data.iterdir() if path.name.startswith(".")]
    if stray:
        yield f"left: in the data folder: {stray[:5]}"
    for row in rows.values():
        if row["work"] == "RELEASED":
            found = list(_half_written(site.job_folder(row["id"])))
            if found:
                yield f"left: half written in the folder of {row['id']}: {found[:5]}"


def _half_written(folder: Path) -> Iterator[str]:
    """Hidden files but the one that the exit was written into."""
    for path in folder.glob("**/.*"):
        if not path.name.startswith(".exit-"):
            yield str(path.relative_to(folder))


def sizes(site: Soaked, rows: dict[str, Row], changes: int) -> tuple[list[str], str]:
    """Faults, and a sentence: what all jobs take on the disk, by what they have."""
    faults = []
    database = site.database.size()
    most = _OF_A_DATABASE + _OF_A_ROW * len(rows) + _OF_A_CHANGE * changes
    if database > most:
        faults.append(
            f"grown: the database has {database} bytes for {len(rows)} jobs and {changes} changes"
        )
    beside = 0
    for row in rows.values():
        own = _size(site.job_folder(row["id"])) - row["bytes"]
        beside += own
        if own > _OF_A_FOLDER and row["phase"] == "COMPLETED":
            faults.append(f"grown: the folder of {row['id']} has {own} bytes beside its files")
    told = (
        f"{len(rows)} jobs are kept: the database has {database / 2**20:.1f} MiB with {changes}"
        f" changes, a folder {beside / max(1, len(rows)) / 1024:.1f} KiB beside its files"
    )
    return faults, told


def _size(folder: Path) -> int:
    """Bytes of all files, each once however many names it has."""
    files = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            files[status.st_ino] = status.st_size
    return sum(files.values())


_NAMES = re.compile(r"[0-9a-f]{32}|[0-9a-f]{16}|[0-9a-f-]{36}|(?<![a-z])\d[\d./]*")


def traces(site: Soaked) -> tuple[list[str], list[str]]:
    """Faults: traces and errors in the logs. Notes: what they warned of."""
    faults: list[str] = []
    warnings: Counter[str] = Counter()
    for path in (site.folder / "data" / "opus.log", site.folder / "stderr.log"):
        text = path.read_text(errors="replace") if path.exists() else ""
        for match in re.finditer(r"Traceback[^\n]*\n(?:[ +|].*\n)*(.*)", text):
            begin = text.rfind("\n", 0, match.start() - 1) + 1
            faults.append(f"wrong: {path.name} has a trace: {text[begin : match.end()]}")
        for line in text.splitlines():
            parts = line.split(" ", 2)
            if len(parts) == 3 and parts[1] == "WARNING":
                warnings[_NAMES.sub("#", parts[2])] += 1
            elif len(parts) == 3 and parts[1] in ("ERROR", "CRITICAL"):
                faults.append(f"wrong: {path.name}: {line}")
    notes = [f"warned {times} times: {text}" for text, times in warnings.most_common(_WARNED)]
    return faults, notes
