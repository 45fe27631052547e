"""Jobs on a real SLURM, against the same jobs by the bare commands, in turns.

A private cluster is started for it (tests/services), so it needs root and Debian's packages.
"""

from __future__ import annotations

import json
import random
import re
import shlex
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from benchmarks.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from servers import Site, eventually  # type: ignore[import-not-found]
from services.slurm import (  # type: ignore[import-not-found]
    Cluster,
    missing,
    private_cluster,
)

PARALLEL = 8  # sbatch at once, as the manager has them
WADL = (
    '<application xmlns="http://wadl.dev.java.net/2009/02"><resources base="/rest/">'
    '<resource id="joblist" path="{name}"><method id="create_job" name="POST"><request/></method>'
    '<resource id="job" path="{{job-id}}">{results}'
    "</resource></resource></resources></application>"
)
OUTPUT = (
    '<resource id="job_result_name" path="results/{result-id}"><param style="template" '
    'name="result-id"><option value="output"/></param></resource>'
)


def figures(quick: bool) -> Iterator[Figure]:
    """All of it; where no cluster can run a sentence that says so."""
    if lacking := missing():
        note = f"skipped: this machine lacks {', '.join(lacking)}"
        yield Figure("jobs on SLURM", 0, "", note=note)
        return
    with private_cluster(ssh=True, cpus=8) as cluster:
        yield from submission(cluster, 60 if quick else 300, rounds=1 if quick else 3)
        yield from delays(cluster, 5 if quick else 15)
        yield from draining(cluster, 100 if quick else 1000)
        yield from polling(cluster, 500 if quick else 5000)


# -- servers, and the same by hand


class Bench:
    """A web server whose supervisor is started when the time has come."""

    def __init__(self, cluster: Cluster, folder: Path, *, far: bool, embedded: bool) -> None:
        env = cluster.environment()
        variables = [f"{name}={env[name]}" for name in ("SLURM_CONF", "PATH")]
        self.cluster, self.far = cluster, far
        self.site = Site(folder, prefix=("env", *variables))
        manager = ['use = "slurm"', 'run_options = { slurm_partition = "main | down = main" }']
        if far:
            manager += [f'host = "{cluster.ssh_host}"', f'ssh_config = "{cluster.ssh_config}"']
        self.site.configure(
            server=f"port = {self.site.port}\nthreads = 64\nevent_url = '{self.site.url}'",
            supervisor=f"embedded = {str(embedded).lower()}",
            manager="\n".join(manager),
            jobs="min_free = 0",
        )
        for name, script, results in (
            ("nothing", "true\n", ""),
            ("moment", 'sleep 0.5; echo "$EPOCHREALTIME" > "$output"\n', OUTPUT),
        ):
            self.site.describe(name, script, WADL.format(name=name, results=results))
        self.site.serve()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        path = self.site.folder / "data/opus.sqlite"
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=60)) as base:
            return base.execute(query).fetchall()

    def wanted(self, number: int, **fields: str) -> None:
        """So many jobs that wait for a supervisor."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: self.site.create("nothing", fields), range(number)))

    @contextmanager
    def supervised(self) -> Iterator[None]:
        process = self.site.start("supervise")
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)
            self.site.processes.remove(process)

    def rate(self, done: str, number: int) -> float:
        """Jobs a second, from the first that is STARTING until so many are done."""
        query = f"SELECT count(*) FROM jobs WHERE {done}"  # noqa: S608
        with self.supervised():
            eventually(lambda: self.rows(query)[0][0] >= number, 900, every=0.1)
            end = time.time()
        begin = self.rows("SELECT min(submitted_at) FROM jobs")[0][0]
        return float(number / (end - begin / 1e6))


@contextmanager
def bench(cluster: Cluster, *, far: bool, embedded: bool) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=cluster.folder) as folder:
        one = Bench(cluster, Path(folder), far=far, embedded=embedded)
        try:
            yield one
        finally:
            one.site.stop()


def batch(folder: Path, name: str, body: str, *options: str) -> str:
    """A batch script with the options that the manager's has."""
    lines = [
        f"--job-name={name}",
        f"--comment={name}",
        "--no-requeue",
        "--export=NONE",
        f"--chdir={folder}",
        f"--output={folder}/batch-%j.log",
        "--open-mode=append",
        *options,
    ]
    return "\n".join(["#!/bin/bash", *(f"#SBATCH {line}" for line in lines), body, ""])


def sbatch(cluster: Cluster, script: str) -> None:
    subprocess.run(
        ["sbatch", "--parsable"],
        input=script.encode(),
        check=True,
        capture_output=True,
        env=cluster.environment(),
    )


def bare_submission(cluster: Cluster, number: int, *options: str, body: str = "true") -> float:
    """Bare sbatch, as many at once as the manager has; answers the seconds."""
    folder = cluster.folder / "bare"
    folder.mkdir(exist_ok=True)
    scripts = [batch(folder, f"bare-{n}", body, *options) for n in range(number)]
    begin = time.perf_counter()
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(lambda script: sbatch(cluster, script), scripts))
    return time.perf_counter() - begin


def cancel(cluster: Cluster) -> None:
    for user in ("root", cluster.user):
        cluster.run("scancel", "--user", user, check=False)
    eventually(lambda: not waiting(cluster), 120, every=0.5)


def waiting(cluster: Cluster) -> int:
    """Jobs that are not over."""
    answer = cluster.run("squeue", "-h", "-t", "PENDING,RUNNING,COMPLETING", "-o", "%i")
    return len(answer.stdout.split())


# -- the figures


def submission(cluster: Cluster, number: int, rounds: int) -> Iterator[Figure]:
    """From a backlog: by a server, from STARTING to LIVE, and by bare sbatch. Nothing runs."""
    rates: dict[str, list[float]] = {"near": [], "far": [], "bare": []}
    for _ in range(rounds):
        for name in ("near", "far"):
            # A new server each: the last one has to clear up after the jobs that were cancelled.
            with bench(cluster, far=name == "far", embedded=False) as one:
                one.wanted(number, slurm_partition="down")
                rates[name].append(one.rate("native_ids != '[]'", number))
            cancel(cluster)
        rates["bare"].append(number / bare_submission(cluster, number, "--partition=down"))
        cancel(cluster)
    near, far, bare = (statistics.median(rates[name]) for name in ("near", "far", "bare"))
    yield Figure(
        "SLURM, submission / bare sbatch",
        near / bare,
        "x",
        floor=0.5,
        note=f"{near:.0f}/s, bare {bare:.0f}/s",
    )
    yield Figure("SLURM, submission over ssh", far, "/s", floor=25)


def delays(cluster: Cluster, number: int) -> Iterator[Figure]:
    """One job at a time on an idle cluster: RUN to EXECUTING, and the script's end to
    COMPLETED."""
    begins: dict[str, list[float]] = {"bare": [], "here": [], "over ssh": []}
    ends: dict[str, list[float]] = {"here": [], "over ssh": []}
    with (
        bench(cluster, far=False, embedded=True) as local,
        bench(cluster, far=True, embedded=True) as remote,
    ):
        for turn in range(number + 1):
            begin_bare = bare_delay(cluster)
            for name, one in (("here", local), ("over ssh", remote)):
                begin, end = delay(one)
                if turn:  # the first one opens connections
                    begins[name].append(begin)
                    ends[name].append(end)
            if turn:
                begins["bare"].append(begin_bare)
    bare = statistics.median(begins["bare"])

    def more(way: str) -> tuple[float, str]:
        median = statistics.median(begins[way])
        return median - bare, f"{median:.2f} s, bare sbatch {bare:.2f} s"

    def after(way: str) -> tuple[float, str]:
        return statistics.median(ends[way]), f"worst {max(ends[way]):.2f} s"

    took, note = more("here")
    yield Figure("SLURM, RUN to EXECUTING - bare", took, "s", ceiling=0.7, note=note)
    took, note = more("over ssh")
    yield Figure("SLURM over ssh, RUN to EXECUTING - bare", took, "s", ceiling=0.7, note=note)
    took, note = after("here")
    yield Figure("SLURM, end of script to COMPLETED", took, "s", ceiling=1, note=note)
    took, note = after("over ssh")
    yield Figure("SLURM over ssh, end of script to COMPLETED", took, "s", ceiling=1, note=note)


def bare_delay(cluster: Cluster) -> float:
    """From sbatch to the first act of its script."""
    with tempfile.TemporaryDirectory(dir=cluster.folder) as folder:
        mark = Path(folder) / "mark"
        script = batch(Path(folder), "bare", f"touch {shlex.quote(str(mark))}; sleep 0.5")
        begin = time.perf_counter()
        sbatch(cluster, script)
        eventually(mark.exists, 60, every=0.005)
        seconds = time.perf_counter() - begin
        rest(cluster)
    return seconds


def rest(cluster: Cluster) -> None:
    """Wait until nothing runs, and then for some moment of the second in which the controller looks
    for new jobs once."""
    eventually(lambda: not waiting(cluster), 60, every=0.1)
    time.sleep(random.uniform(0, 1))  # noqa: S311 - nothing to guess


def delay(one: Bench) -> tuple[float, float]:
    """From RUN to EXECUTING, and from the script's end to COMPLETED."""
    job = urlsplit(one.site.create("moment", run=False)).path
    begin = time.perf_counter()
    one.site.post(f"{job}/phase", {"PHASE": "RUN"})
    seconds: dict[str, float] = {}
    phase = "QUEUED"
    while phase != "COMPLETED":
        answer = one.site.get(f"{job}?WAIT=30&PHASE={phase}", headers={"Accept": "text/xml"})
        found = re.search(r"<(?:\w+:)?phase>(\w+)<", answer.text)
        assert found is not None, answer.text
        if found[1] in ("ERROR", "ABORTED"):
            raise RuntimeError(f"{job} ended {found[1]}: {answer.text}")
        phase = found[1]
        seconds.setdefault(phase, time.perf_counter() - begin)
    end = time.time() - float(one.site.get(f"{job}/results/output").text)
    rest(one.cluster)
    return seconds.get("EXECUTING", seconds["COMPLETED"]), end


def draining(cluster: Cluster, number: int) -> Iterator[Figure]:
    """Many small jobs from a backlog to their end, by a server and by bare sbatch."""

    def by_hand() -> float:
        begin = time.perf_counter()
        bare_submission(cluster, number)
        eventually(lambda: not waiting(cluster), 900, every=0.5)
        return number / (time.perf_counter() - begin)

    bare = [by_hand()]
    with bench(cluster, far=False, embedded=False) as one:
        one.wanted(number)
        ours = one.rate("work = 'RELEASED'", number)
        ends = dict(one.rows("SELECT phase, count(*) FROM jobs GROUP BY phase"))
        others = [
            json.loads(document)["error"][0]
            for (document,) in one.rows("SELECT document FROM jobs WHERE phase != 'COMPLETED'")
        ]
    bare.append(by_hand())
    mean = statistics.mean(bare)
    yield Figure(
        "SLURM, small jobs / bare sbatch",
        ours / mean,
        "x",
        floor=0.8,
        note=f"{ours:.1f}/s, bare {bare[0]:.1f}/s before and {bare[1]:.1f}/s behind",
    )
    # One that is not may be the cluster's own failure; then the sentence says so.
    done, note = ends.get("COMPLETED", 0), "; ".join(others[:3])
    yield Figure("SLURM, small jobs, completed", done, "jobs", floor=number, note=note)


def polling(cluster: Cluster, number: int) -> Iterator[Figure]:
    """One question about many jobs that wait, by the manager and by bare squeue."""
    from opus_core.backends import Kind, Ref
    from opus_manager_slurm.manager import SlurmManager
    from opus_manager_slurm.options import SlurmOptions

    bare_submission(cluster, number, "--partition=down")
    query = ["squeue", "-h", "-t", "all", "-u", "root", "-o", "%A\x1f%T\x1f%j"]
    shown = cluster.run(*query, "-t", "PENDING").stdout.splitlines()
    refs = [Ref(tag=name, native_id=one) for one, _, name in (row.split("\x1f") for row in shown)]
    bare: list[float] = []
    ours: list[float] = []
    env = cluster.environment()
    with patch.dict("os.environ", {"SLURM_CONF": env["SLURM_CONF"], "PATH": env["PATH"]}):
        manager = SlurmManager(SlurmOptions())

        def ask() -> None:
            found = manager.get_status(refs)
            assert sum(one.kind is Kind.QUEUED for one in found.values()) == number

        for _ in range(7):
            bare.append(timed(lambda: cluster.run(*query)))
            ours.append(timed(ask))
    cancel(cluster)
    bare_ms, ours_ms = 1000 * statistics.median(bare), 1000 * statistics.median(ours)
    yield Figure(
        "SLURM, poll - 2 x bare squeue",
        ours_ms - 2 * bare_ms,
        "ms",
        ceiling=50,
        note=f"{ours_ms:.0f} ms, bare squeue {bare_ms:.0f} ms",
    )


def timed(what: Callable[[], object]) -> float:
    begin = time.perf_counter()
    what()
    return time.perf_counter() - begin
