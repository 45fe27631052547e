"""What must be true when all is quiet again; every sentence is something that is not.

A fault begins with its kind: what was `lost`, done `twice`, is `stuck`, `wrong`, `left` behind, or
has `grown`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

from opus_core.job import TRANSITIONS, Phase
from servers import OVER
from soak import gauges
from soak.book import ASKED, NO, YES, Book, Entry
from soak.databases import Row
from soak.leftovers import leftovers, sizes, traces
from soak.sites import Soaked

KINDS = ("lost", "twice", "stuck", "wrong", "left", "grown")
_QUIET = {"NONE", "RELEASED"}
_FIRST = {"PENDING", "QUEUED"}  # phases of a job that has just been made


@dataclass
class Verdict:
    """Faults, and what is worth knowing."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    jobs: int = 0
    requests: int = 0

    def count(self, kind: str) -> int:
        return sum(fault.startswith(f"{kind}:") for fault in self.faults)


def settle(site: Soaked, seconds: float) -> float:
    """Wait until nothing is to be done any more; answers how long that took. What is still to be
    done after `seconds` is for `judge` to tell."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        soon = int((time.time() + 60) * 1e6)  # some ask for a destruction time about to come
        (row,) = site.database.rows(
            "SELECT count(*) AS left_over FROM jobs"
            f" WHERE doomed OR work NOT IN ('NONE', 'RELEASED') OR destruction < {soon}"
        )
        if not row["left_over"] and not gauges.job_processes(site):
            break
        time.sleep(0.1)
    return time.monotonic() - begin


def judge(
    site: Soaked,
    book: Book,
    windows: list[tuple[float, float]],
    heard: list[tuple[int, str, str | None, str | None]] | None = None,
    *,
    breaks: Sequence[tuple[float, float]] = (),
) -> Verdict:
    """Look at everything: what clients see, the database, the folders, the processes, the log.

    `windows`: when the web might be silent. `breaks`: when an answer that had been begun might not
    come to its end. `heard`: all that /changes has told, if anybody asked.
    """
    verdict = Verdict(faults=list(book.faults), jobs=len(book.entries))
    verdict.requests = sum(
        times for what, times in book.asked.items() if re.fullmatch(r"[A-Z]+ \d+", what)
    )
    rows = {row["id"]: row for row in site.database.rows("SELECT * FROM jobs")}
    journal = site.database.rows("SELECT seq, job_id, old, new, time FROM journal ORDER BY seq")
    verdict.faults += _row_faults(site, rows)
    verdict.faults += _journal_faults(journal, rows, heard)
    verdict.notes += _lateness(journal, book)
    for entry in book.entries:
        verdict.faults += _entry_faults(site, book, entry, rows)
    verdict.faults += _doubles(book, rows)
    verdict.faults += _ledger_faults(site, rows)
    verdict.faults += leftovers(site, rows)
    grown, told = sizes(site, rows, len(journal))
    verdict.faults += grown
    verdict.notes.append(told)
    for begin, end, what in book.cut:
        excused = [*windows, *(breaks if "IncompleteRead" in what else ())]
        if not any(start < end and begin < stop + 0.5 for start, stop in excused):
            verdict.faults.append(f"wrong: {_clock(begin)} no answer, and nobody killed: {what}")
    faults, notes = traces(site)
    verdict.faults += faults
    verdict.notes += notes
    verdict.notes += [f"503, {times} times: {text}" for text, times in book.refused.most_common()]
    counted = ", ".join(f"{what}: {times}" for what, times in sorted(book.asked.items()))
    verdict.notes.append(f"answers: {counted}; {len(book.cut)} cut off")
    verdict.notes.append(f"{book.read / 2**20:.0f} MiB of results and uploads were compared")
    if heard is not None:
        verdict.notes.append(f"{len(heard)} changes were heard of, each once")
    return verdict


# -- one job


def _entry_faults(site: Soaked, book: Book, entry: Entry, rows: dict[str, Row]) -> Iterator[str]:
    if not entry.url:
        return  # nobody was promised anything; what there is of it is in `rows`
    row = rows.get(entry.id)
    status = site.get(f"{entry.url}/phase")
    if entry.delete == YES:
        if status.status != 404:
            yield f"wrong: {entry.id} was deleted and is shown as {status.text!r}"
        if row is not None:
            yield f"left: {entry.id} was deleted and its row is there: {_told(row)}"
        if site.job_folder(entry.id).exists():
            yield f"left: {entry.id} was deleted and its folder is there"
        return
    if row is None or status.status != 200:
        if entry.delete == NO:
            yield f"lost: {entry.id} was acknowledged: {status.status} {status.text!r}"
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
        expected = " or ".join(sorted(legal))
        yield f"wrong: {entry.id} ({entry}) is {phase}, not {expected}: {_told(row)}"
    if phase == "COMPLETED" and entry.id not in book.hurt:
        answer = site.get(f"{entry.url}/results/output")
        if answer.body != entry.output:
            yield f"wrong: {entry.id} is COMPLETED with another output ({answer.status})"
    if entry.upload is not None:
        answer = site.get(f"{entry.url}/parameters/file")
        if answer.body != entry.upload.content:
            yield f"wrong: {entry.id} has another upload ({answer.status})"


def _doubles(book: Book, rows: dict[str, Row]) -> Iterator[str]:
    """Rows that one wish has made."""
    known = {entry.word: entry for entry in book.entries}
    made: dict[str, list[str]] = {}
    for row in rows.values():
        made.setdefault(row["run_id"], []).append(row["id"])
    for word, ids in made.items():
        entry = known.get(word)
        if entry is None:
            continue  # a part of the soak has made it for itself
        if len(ids) > 1 or (entry.url and ids != [entry.id]):
            yield f"twice: {word} was made as {', '.join(ids)}; its client knows {entry.id!r}"


def _told(row: Row) -> str:
    document = json.loads(row["document"])
    what = {key: document.get(key) for key in ("error", "watch", "marks") if document.get(key)}
    return f"phase={row['phase']} work={row['work']} due={row['due']} {what}"


# -- all together


def _ledger_faults(site: Soaked, rows: dict[str, Row]) -> Iterator[str]:
    for ledger in (site.folder / "ledgers").iterdir():
        lines = ledger.read_text().splitlines()
        row = rows.get(ledger.name)
        if not lines and row is not None and row["phase"] == "COMPLETED":
            yield f"lost: {ledger.name} is COMPLETED and has not come to its first line"
        # None: it was stopped between opening the ledger and writing into it.
        if len(lines) > 1:
            yield f"twice: {ledger.name} ran {len(lines)} times: {lines}"
        if row is not None and row["phase"] not in OVER:
            yield f"stuck: {ledger.name} ran and is not over: {_told(row)}"
    for row in rows.values():
        if row["phase"] == "COMPLETED" and not (site.folder / "ledgers" / row["id"]).exists():
            yield f"lost: {row['id']} is COMPLETED and never ran"


def _row_faults(site: Soaked, rows: dict[str, Row]) -> Iterator[str]:
    for row in rows.values():
        if row["work"] not in _QUIET or row["doomed"] or row["due"] is not None:
            yield f"stuck: {row['id']}: {_told(row)}"
        if row["phase"] not in OVER and row["phase"] != "PENDING":
            yield f"stuck: {row['id']} is not over: {_told(row)}"
    if damage := site.database.damage():
        yield f"wrong: the database is damaged: {damage}"
    for table in ("pokes", "natives"):
        (row,) = site.database.rows(
            f"SELECT count(*) AS lost FROM {table} WHERE job_id NOT IN (SELECT id FROM jobs)"
        )
        if row["lost"]:
            yield f"left: {row['lost']} rows of {table} belong to no job"
    for use in site.database.rows("SELECT * FROM usage"):
        size = sum(row["bytes"] for row in rows.values() if row["quota_key"] == use["quota_key"])
        if use["active"] or use["bytes"] != size:
            yield (
                f"wrong: the quota has {use['active']} jobs and {use['bytes']} bytes,"
                f" not 0 and {size}"
            )


def _journal_faults(
    journal: list[Row],
    rows: dict[str, Row],
    heard: list[tuple[int, str, str | None, str | None]] | None,
) -> Iterator[str]:
    """The life of each job in phases, told without a gap, by legal steps alone."""
    seen: dict[str, str | None] = {}
    for entry in journal:
        job_id, old, new = entry["job_id"], entry["old"], entry["new"]
        if job_id not in seen:
            legal = old is None and new in _FIRST
        else:
            legal = old == seen[job_id] and (new is None or new in TRANSITIONS[Phase(old)])
        if not legal:
            yield f"wrong: {job_id} went from {seen.get(job_id)} on by {old} -> {new}"
        seen[job_id] = new
    for row in rows.values():
        if seen.get(row["id"]) != row["phase"]:
            yield f"lost: {row['id']} is {row['phase']}; the journal ends by {seen.get(row['id'])}"
    if heard is not None:
        kept = [(one["seq"], one["job_id"], one["old"], one["new"]) for one in journal]
        for change in sorted(set(kept) - set(heard))[:10]:
            yield f"lost: nobody who follows /changes was told of {change}"
        for change in sorted(set(heard) - set(kept))[:10]:
            yield f"lost: /changes told of {change}, which is not kept"


def _lateness(journal: list[Row], book: Book) -> Iterator[str]:
    """How much later than it had to each job was over, by the journal."""
    wanted: dict[str, int] = {}
    late: list[tuple[float, str]] = []
    lasts = {entry.id: min(entry.seconds, entry.limit or 1e9) for entry in book.entries}
    for entry in journal:
        job_id, new, when = entry["job_id"], entry["new"], entry["time"]
        if new == "QUEUED":
            wanted.setdefault(job_id, when)
        elif new in OVER and job_id in wanted and job_id in lasts:
            late.append(((when - wanted[job_id]) / 1e6 - lasts[job_id], job_id))
    late.sort()
    if late:
        worst = ", ".join(
            f"{seconds:.1f} s {job_id} queued {_clock(wanted[job_id] / 1e6)}"
            for seconds, job_id in late[-3:]
        )
        yield (
            f"from RUN to the end, beyond what the script takes: median"
            f" {median(seconds for seconds, _ in late):.2f} s, 95 %"
            f" {late[len(late) * 95 // 100][0]:.1f} s; the worst: {worst}"
        )


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"
