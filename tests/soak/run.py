"""Run OPUS under mixed load while its processes are killed; exit 1 if anything is lost.

    run.py --seconds 3600 [--jobs 10000] [--seed WORD] [--storages sqlite,postgresql]
           [--parts embedded,apart,calm,trivial] [--report FILE]

All of it for each storage, and each part on a site of its own. Three parts share the time: a server
with the supervisor in it, and a web server with two supervisors beside it, of which one is killed
or paused every few seconds, and the database with them; and a calm one, in which nobody is killed
and nothing may grow. The last one takes as long as it takes to run so many jobs that do nothing.
The seed repeats what is asked and done to whom, though not when the machine gets to it. Whatever
one part shows, the others run, too.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers import eventually
from services import postgresql
from soak import databases, gauges
from soak.book import Book
from soak.chaos import Chaos
from soak.client import Client
from soak.follower import Follower
from soak.job import JOB
from soak.report import Part, write
from soak.sites import Soaked, make_site
from soak.trivial import trivial
from soak.verdict import Verdict, judge, settle

_SETTLES = 60.0  # [s] within which all has to be over once nobody is killed any more
_SHARES = {"embedded": 0.4, "apart": 0.4, "calm": 0.2}
_PARTS = (*_SHARES, "trivial")
_STORAGES = ("sqlite", "postgresql")
_GROWTH = {"memory": 6.0, "descriptors": 4.0, "threads": 4.0}  # [MiB], and how many
_IDLE = 0.03  # of one processor
_CALMS = 10.0  # [s] in which questions about what has just begun get rarer
_READS = 60.0  # [s], what comes now and then included, and no more of it than its share
_EVERY = 60.0  # [s] within which somebody has to have been killed


def under_load(site: Soaked, seed: str, seconds: float, *, apart: bool, calm: bool) -> Verdict:
    """Load, harm unless it is to be calm, quiet, and a verdict."""
    book = Book()
    chaos = Chaos(site, book, f"{seed}-chaos", apart=apart)
    chaos.start_all()
    clients = [Client(site, book, f"{seed}-{number}", most=24) for number in range(6)]
    follower = Follower(site, book)
    gauge = gauges.Gauge(chaos.web.pid, site.database.kept)
    for thread in (*clients, follower, gauge if calm else chaos):
        thread.start()
    threading.Event().wait(seconds)
    chaos.stopping.set()
    gauge.stopping.set()
    if calm:
        gauge.join()
    else:
        chaos.join()
    for client in clients:
        client.stopping.set()
    for client in clients:
        client.join()
    quiet = settle(site, _SETTLES)
    follower.stopping.set()
    follower.join()
    follower.catch_up()
    verdict = judge(site, book, chaos.windows, follower.heard, breaks=chaos.breaks)
    verdict.notes.insert(0, f"all was over after {quiet:.1f} s of quiet")
    if calm:
        growth(gauge, verdict)
        _idleness(site, chaos.web.pid, verdict)
    else:
        _harm(chaos, seconds, verdict)
    return verdict


def _harm(chaos: Chaos, seconds: float, verdict: Verdict) -> None:
    peace = chaos.longest_peace()
    verdict.notes.insert(
        0,
        f"kill -9 {len(chaos.kills)} times, at least every {peace:.0f} s;"
        f" done to it: {dict(Counter(chaos.deeds))}",
    )
    if chaos.again:
        verdict.notes.append(f"started again {chaos.again} times, for want of a database at first")
    verdict.notes += chaos.slow
    if seconds > 2 * _EVERY and not 0 < peace <= _EVERY:
        verdict.faults.append(f"wrong: nobody was killed for {peace:.0f} s, so this shows little")


def growth(gauge: gauges.Gauge, verdict: Verdict) -> None:
    """Note what a process has gained while nobody harmed it, and whether that is too much."""
    for name, found in gauge.trends().items():
        verdict.notes.append(f"{name} of the server: {found}")
        if found.rise > _GROWTH[name]:
            verdict.faults.append(f"grown: {name} of the server, {found}")


def _idleness(site: Soaked, pid: int, verdict: Verdict) -> None:
    """What a server costs that has 100 jobs in its queue and nothing to do."""
    fields = {"ledgers": str(site.folder / "ledgers"), "seconds": "600"}
    for _ in range(106):
        site.create(JOB, fields)
    submitted = "SELECT count(*) AS jobs FROM jobs WHERE work = 'LIVE'"
    eventually(lambda: site.database.rows(submitted)[0]["jobs"] >= 106, _SETTLES)
    time.sleep(_CALMS)
    begin, used = time.monotonic(), gauges.cpu(pid)
    time.sleep(_READS)
    share = (gauges.cpu(pid) - used) / (time.monotonic() - begin)
    finished = len(site.jobs(JOB)) - 106
    verdict.notes.append(f"idle with 100 queued, {finished} finished jobs: {share:.1%} of a core")
    if share > _IDLE:
        verdict.faults.append(f"grown: an idle server used {share:.1%} of a core")


def run(
    part: str, folder: Path, args: argparse.Namespace, server: postgresql.Server | None
) -> Verdict:
    """One part, on a site of its own, of which no process is left."""
    site = make_site(folder, embedded=part != "apart", server=server)
    try:
        if part == "trivial":
            return trivial(site, args.jobs)
        seconds = args.seconds * _SHARES[part] / sum(_SHARES.get(one, 0) for one in args.parts)
        return under_load(site, args.seed, seconds, apart=part == "apart", calm=part == "calm")
    finally:
        site.stop()
        for pid, _ in gauges.job_processes(site):
            gauges.kill(pid)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run OPUS under load while it is being killed.")
    parser.add_argument(
        "--seconds", type=float, default=3600, help="for each storage; default: %(default)s"
    )
    parser.add_argument(
        "--jobs", type=int, default=10_000, help="trivial ones; default: %(default)s"
    )
    parser.add_argument("--seed", default=secrets.token_hex(4))
    for name, all_of_them in (("parts", _PARTS), ("storages", _STORAGES)):
        parser.add_argument(f"--{name}", default=",".join(all_of_them), help="default: %(default)s")
    parser.add_argument("--report", type=Path, help="what came of it: a page (.md), or .json")
    parser.add_argument("--keep", action="store_true", help="leave the folders behind")
    args = parser.parse_args()
    for name, all_of_them in (("parts", _PARTS), ("storages", _STORAGES)):
        chosen = getattr(args, name).split(",")
        setattr(args, name, chosen)
        if unknown := set(chosen) - set(all_of_them):
            parser.error(f"there is no {unknown.pop()!r}; {name}: {', '.join(all_of_them)}")
    return args


def run_storage(storage: str, top: Path, args: argparse.Namespace) -> list[Part]:
    """All parts, on one storage."""
    parts = []
    with ExitStack() as opened:
        server = opened.enter_context(databases.server()) if storage == "postgresql" else None
        for part in args.parts:
            folder = top / storage / part
            begin = time.monotonic()
            try:
                verdict = run(part, folder, args, server)
            except Exception:
                verdict = Verdict(faults=[f"wrong: {traceback.format_exc()}"])
            parts.append(Part(storage, part, time.monotonic() - begin, verdict))
            print(parts[-1].told(), flush=True)
            if not verdict.faults and not args.keep:
                shutil.rmtree(folder)
    return parts


def main() -> int:
    args = parse()
    top = Path(tempfile.mkdtemp(prefix="opus-soak-"))
    parts: list[Part] = []
    print(f"seed {args.seed}, {args.seconds:.0f} s and {args.jobs} jobs, in {top}", flush=True)
    for storage in args.storages:
        if storage == "postgresql" and postgresql.programs() is None:
            print("postgresql: skipped, since this machine lacks it; Debian's postgresql has it")
            if os.environ.get("CI") == "true":
                return 1
            continue
        parts += run_storage(storage, top, args)
    if args.report is not None:
        write(args.report, args.seed, parts)
    bad = any(part.verdict.faults for part in parts)
    if bad or args.keep:
        print(f"\nlogs, databases and folders are in {top}")
    else:
        shutil.rmtree(top)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
