"""What must be true when all is quiet again; every sentence is something lost, doubled or stuck."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

import gauges
from load import ASKED, NO, YES, Book, Entry

from servers import OVER, Site

_QUIET = {"NONE", "RELEASED"}


@dataclass
class Verdict:
    """Faults, and what is worth knowing."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def settle(site: Site, seconds: float) -> float:
    """Wait until nothing is to be done any more; answers how long that took. What is still to be
    done after `seconds` is for `judge` to tell."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        with closing(_database(site)) as database:
            (left,) = database.execute(
                "SELECT count(*) FROM jobs WHERE doomed OR work NOT IN ('NONE', 'RELEASED')"
                # ... or to be destroyed within a minute: some ask for a time that is about to come.
                " OR destruction < (julianday('now') - 2440587.5) * 86400000000 + 60000000"
            ).fetchone()
        if not left and not gauges.job_processes(site):
            break
        time.sleep(0.1)
    return time.monotonic() - begin


def judge(site: Site, book: Book, windows: list[tuple[float, float]]) -> Verdict:
    """Look at everything: what clients see, the database, the folders, the processes, the log."""
    verdict = Verdict(faults=list(book.faults))
    with closing(_database(site)) as database:
        rows = {row["id"]: row for row in database.execute("SELECT * FROM jobs")}
        verdict.faults += _database_faults(database, rows)
        verdict.notes += _lateness(database, rows, book)
    for entry in book.entries:
        verdict.faults += _entry_faults(site, book, entry, rows)
    known = {entry.word: entry.id for entry in book.entries}
    for row in rows.values():
        if known.get(row["run_id"]) not in ("", row["id"]):
            verdict.faults.append(f"{row['id']}: a second job was made of {row['run_id']}")
    verdict.faults += _ledger_faults(site, rows)
    verdict.faults += _leftovers(site, rows)
    for begin, end, what in book.cut:
        if not any(start < end and begin < stop + 0.5 for start, stop in windows):
            verdict.faults.append(f"{_clock(begin)} no answer, though nobody was killed: {what}")
    _read_logs(site, verdict)
    verdict.notes += [f"503, {times} times: {text}" for text, times in book.refused.most_common()]
    counted = ", ".join(f"{what}: {times}" for what, times in sorted(book.asked.items()))
    verdict.notes.append(f"{len(book.entries)} jobs; answers {counted}; {len(book.cut)} cut off")
    return verdict


# -- one job


def _entry_faults(
    site: Site, book: Book, entry: Entry, rows: dict[str, sqlite3.Row]
) -> Iterator[str]:
    if not entry.url:
        return  # nobody was promised anything; what there is of it is in `rows`
    row = rows.get(entry.id)
    status = site.get(f"{entry.url}/phase")
    if entry.delete == YES:
        if status.status != 404:
            yield f"{entry.id} was deleted and is shown as {status.text!r}"
        if row is not None:
            yield f"{entry.id} was deleted and its row is there: {_told(row)}"
        if site.job_folder(entry.id).exists():
            yield f"{entry.id} was deleted and its folder is there"
        return
    if row is None or status.status != 200:
        if entry.delete == NO:
            yield f"{entry.id} was acknowledged and is lost: {status.status} {status.text!r}"
        return
    phase = status.text.strip()
    legal = {entry.end}
    if entry.run != YES:
        legal |= {"PENDING"}
    if entry.run == NO:
        legal -= {entry.end}
    if entry.abort == YES:
        legal = (legal - {"PENDING"}) | {"ABORTED"}
    elif entry.abort == ASKED:
        legal |= {"ABORTED"}
    if entry.id in book.hurt:
        legal |= OVER
    if phase not in legal:
        yield f"{entry.id} ({entry}) is {phase}, not {' or '.join(sorted(legal))}: {_told(row)}"
    if phase == "COMPLETED" and entry.id not in book.hurt:
        answer = site.get(f"{entry.url}/results/output")
        if answer.body != entry.output:
            yield f"{entry.id} is COMPLETED with another output ({answer.status})"


def _told(row: sqlite3.Row) -> str:
    document = json.loads(row["document"])
    what = {key: document.get(key) for key in ("error", "watch", "marks") if document.get(key)}
    return f"phase={row['phase']} work={row['work']} due={row['due']} {what}"


# -- all together


def _ledger_faults(site: Site, rows: dict[str, sqlite3.Row]) -> Iterator[str]:
    for ledger in (site.folder / "ledgers").iterdir():
        lines = ledger.read_text().splitlines()
        if len(lines) != 1:
            yield f"{ledger.name} ran {len(lines)} times: {lines}"
        row = rows.get(ledger.name)
        if row is not None and row["phase"] not in OVER:
            yield f"{ledger.name} ran and is not over: {_told(row)}"
    for row in rows.values():
        if row["phase"] == "COMPLETED" and not (site.folder / "ledgers" / row["id"]).exists():
            yield f"{row['id']} is COMPLETED and never ran"


def _database_faults(database: sqlite3.Connection, rows: dict[str, sqlite3.Row]) -> Iterator[str]:
    for row in rows.values():
        if row["work"] not in _QUIET or row["doomed"] or row["due"] is not None:
            yield f"{row['id']} is stuck: {_told(row)}"
        if row["phase"] not in OVER and row["phase"] != "PENDING":
            yield f"{row['id']} is not over: {_told(row)}"
    (sound,) = database.execute("PRAGMA integrity_check").fetchone()
    if sound != "ok":
        yield f"the database is damaged: {sound}"
    for table in ("pokes", "natives"):
        (lost,) = database.execute(
            f"SELECT count(*) FROM {table} WHERE job_id NOT IN (SELECT id FROM jobs)"
        ).fetchone()
        if lost:
            yield f"{lost} rows of {table} belong to no job"
    for use in database.execute("SELECT * FROM usage"):
        size = sum(row["bytes"] for row in rows.values() if row["quota_key"] == use["quota_key"])
        if use["active"] or use["bytes"] != size:
            yield f"the quota has {use['active']} jobs and {use['bytes']} bytes, not 0 and {size}"
    seen: dict[str, str | None] = {}
    for change in database.execute("SELECT job_id, old, new FROM journal ORDER BY seq"):
        job_id, old, new = change
        if job_id in seen and seen[job_id] != old:
            yield f"{job_id}: the journal goes from {seen[job_id]} on with {old} -> {new}"
        seen[job_id] = new


def _lateness(
    database: sqlite3.Connection, rows: dict[str, sqlite3.Row], book: Book
) -> Iterator[str]:
    """How much later than it had to each job was over, by the journal."""
    wanted: dict[str, int] = {}
    late: list[tuple[float, str]] = []
    lasts = {entry.id: min(entry.seconds, entry.limit or 1e9) for entry in book.entries}
    for job_id, new, when in database.execute("SELECT job_id, new, time FROM journal ORDER BY seq"):
        if new == "QUEUED":
            wanted.setdefault(job_id, when)
        elif new in OVER and job_id in wanted and job_id in lasts:
            late.append(((when - wanted[job_id]) / 1e6 - lasts[job_id], job_id))
    late.sort()
    if late:
        worst = ", ".join(
            f"{seconds:.1f} s {job_id} queued {_clock(wanted[job_id] / 1e6)}"
            for seconds, job_id in late[-5:]
        )
        yield (
            f"from RUN to the end, beyond what the script takes: median"
            f" {median(seconds for seconds, _ in late):.2f} s, 95 %"
            f" {late[len(late) * 95 // 100][0]:.1f} s; the worst: {worst}"
        )


def _leftovers(site: Site, rows: dict[str, sqlite3.Row]) -> Iterator[str]:
    for pid, job_id in gauges.job_processes(site):
        yield f"process {pid} of {job_id} is left"
    for folder in (site.folder / "data" / "jobs").glob("??/*"):
        # Half built, half removed, or made for a request that was cut off: swept after a day.
        young = folder.name.startswith(".") or not (folder / "run").exists()
        if folder.name not in rows and not young:
            yield f"the folder {folder.name} belongs to no job"
    local = site.folder / "data" / "local"
    for kind in ("records", "launched", "aborted"):
        names = [path.name for path in (local / kind).iterdir()]
        left = [name for name in names if kind != "records" or not name.endswith(".")]
        if left or len(names) > 1:
            yield f"the local manager still has {kind}: {names[:5]}"
    stray = [path.name for path in (site.folder / "data").iterdir() if path.name.startswith(".")]
    if stray:
        yield f"left in the data folder: {stray[:5]}"


_NAMES = re.compile(r"[0-9a-f]{32}|[0-9a-f]{16}|[0-9a-f-]{36}|(?<![a-z])\d[\d./]*")


def _read_logs(site: Site, verdict: Verdict) -> None:
    warnings: Counter[str] = Counter()
    for path in (site.folder / "data" / "opus.log", site.folder / "stderr.log"):
        text = path.read_text(errors="replace") if path.exists() else ""
        for match in re.finditer(r"Traceback[^\n]*\n(?:[ +|].*\n)*(.*)", text):
            begin = text.rfind("\n", 0, match.start() - 1) + 1
            verdict.faults.append(f"{path.name} has a trace: {text[begin : match.end()]}")
        for line in text.splitlines():
            parts = line.split(" ", 2)
            if len(parts) == 3 and parts[1] == "WARNING":
                warnings[_NAMES.sub("#", parts[2])] += 1
            elif len(parts) == 3 and parts[1] in ("ERROR", "CRITICAL"):
                verdict.faults.append(f"{path.name}: {line}")
    verdict.notes += [f"warned {times} times: {text}" for text, times in warnings.most_common(12)]


def _database(site: Site) -> sqlite3.Connection:
    path = site.folder / "data" / "opus.sqlite"
    database = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)
    database.row_factory = sqlite3.Row
    return database


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"
