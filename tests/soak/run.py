"""Run OPUS under mixed load while its processes are killed; exit 1 if anything is lost.

    run.py --seconds 3600 [--jobs 10000] [--seed WORD] [--parts embedded,apart,calm,trivial]

Each part has a site of its own. Three share the time: a server with the supervisor in it, and a
web server with two supervisors beside it, of which one is killed or paused every few seconds; and
a calm one, in which nobody is killed and nothing may grow. The last one takes as long as it takes
to run so many jobs that do nothing. The seed repeats what is asked and done to whom, though not
when the machine gets to it. Whatever one part shows, the others run, too.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gauges
from chaos import LEASE, Chaos
from load import JOB, SCRIPT, WADL, Book, Client
from trivial import trivial
from verdict import Verdict, judge, settle

from servers import Site

_SETTLES = 60.0  # [s] within which all has to be over once nobody is killed any more
_SHARES = {"embedded": 0.4, "apart": 0.4, "calm": 0.2}
_PARTS = (*_SHARES, "trivial")
_GROWTH = 6.0  # [MiB] of memory that a process may gain in the last quarter of a calm time
_IDLE = 0.03  # of one processor


def make_site(folder: Path, *, embedded: bool) -> Site:
    site = Site(folder)
    site.configure(
        server=f"port = {site.port}\nthreads = 24\nwait_slots = 12\nwait_per_user = 8",
        supervisor=f"lease_seconds = {LEASE:g}\ngrace = 3\nembedded = {str(embedded).lower()}",
        manager='use = "local"\nmax_jobs = 6\ngrace = 2',
    )
    (folder / "ledgers").mkdir()
    site.describe(JOB, SCRIPT, WADL)
    return site


def under_load(site: Site, seed: str, seconds: float, *, apart: bool, calm: bool) -> Verdict:
    """Load, harm unless it is to be calm, quiet, and a verdict."""
    book = Book()
    chaos = Chaos(site, book, f"{seed}-chaos", apart=apart)
    chaos.start_all()
    clients = [Client(site, book, f"{seed}-{number}", most=24) for number in range(6)]
    gauge = gauges.Gauge(chaos.web.pid)
    for thread in (*clients, gauge if calm else chaos):
        thread.start()
    threading.Event().wait(seconds)
    chaos.stopping.set()
    if not calm:
        chaos.join()
    for client in clients:
        client.stopping.set()
    for client in clients:
        client.join()
    quiet = settle(site, _SETTLES)
    verdict = judge(site, book, chaos.windows)
    verdict.notes.insert(0, f"all was over after {quiet:.1f} s of quiet")
    verdict.notes += chaos.slow
    verdict.notes += [f"done to it: {dict(Counter(chaos.deeds))}"] if chaos.deeds else []
    if calm:
        gauge.stopping.set()
        gauge.join()
        _growth(gauge, verdict)
        _idleness(site, chaos.web.pid, verdict)
    return verdict


def _growth(gauge: gauges.Gauge, verdict: Verdict) -> None:
    for name, (before, after) in gauge.trends().items():
        verdict.notes.append(f"{name} of the server: {before:.0f}, then {after:.0f}")
        if after - before > (_GROWTH if name == "memory" else 4):
            verdict.faults.append(f"{name} of the server grew from {before:.0f} to {after:.0f}")


def _idleness(site: Site, pid: int, verdict: Verdict) -> None:
    """What a server costs that has 100 jobs in its queue and nothing to do."""
    fields = {"ledgers": str(site.folder / "ledgers"), "seconds": "600"}
    for _ in range(106):
        site.create(JOB, fields)
    time.sleep(5)
    begin, used = time.monotonic(), gauges.cpu(pid)
    time.sleep(10)
    share = (gauges.cpu(pid) - used) / (time.monotonic() - begin)
    finished = len(site.jobs(JOB)) - 106
    verdict.notes.append(f"idle with 100 queued, {finished} finished jobs: {share:.1%} of a core")
    if share > _IDLE:
        verdict.faults.append(f"an idle server used {share:.1%} of a core")


def run(part: str, folder: Path, args: argparse.Namespace) -> Verdict:
    """One part, on a site of its own, of which no process is left."""
    site = make_site(folder, embedded=part != "apart")
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
    parser.add_argument("--seconds", type=float, default=3600, help="default: %(default)s")
    parser.add_argument(
        "--jobs", type=int, default=10_000, help="trivial ones; default: %(default)s"
    )
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--parts", default=",".join(_PARTS), help="default: %(default)s")
    parser.add_argument("--keep", action="store_true", help="leave the folders behind")
    args = parser.parse_args()
    args.parts = args.parts.split(",")
    if unknown := set(args.parts) - set(_PARTS):
        parser.error(f"there is no part {unknown.pop()!r}; there are {', '.join(_PARTS)}")
    return args


def main() -> int:
    args = parse()
    top = Path(tempfile.mkdtemp(prefix="opus-soak-"))
    bad = False
    print(f"seed {args.seed}, {args.seconds:.0f} s and {args.jobs} jobs, in {top}", flush=True)
    for part in args.parts:
        begin = time.monotonic()
        try:
            verdict = run(part, top / part, args)
        except Exception:
            verdict = Verdict(faults=[traceback.format_exc()])
        print(f"\n{part}, {time.monotonic() - begin:.0f} s: {len(verdict.faults)} faults")
        for note in verdict.notes:
            print(f"  {note}")
        for fault in verdict.faults:
            print(f"  FAULT {fault}")
        sys.stdout.flush()
        bad = bad or bool(verdict.faults)
    if bad or args.keep:
        print(f"\nlogs, database and folders are in {top}")
    else:
        shutil.rmtree(top)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
