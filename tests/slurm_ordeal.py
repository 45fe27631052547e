"""Two servers with jobs on one SLURM cluster, and all the harm that can come to them.

One runs the commands of SLURM itself, the other signs in by ssh. While clients make, abort and
delete jobs, the supervisors are killed at every labelled point and at random moments, sbatch is
killed before, during and after it submits, the controller is killed, and ssh is cut. Then it gets
quiet, and `judge` tells what was lost, doubled, left behind, or not ours to touch.
"""

from __future__ import annotations

import heapq
import http.client
import json
import os
import random
import re
import secrets
import shutil
import sqlite3
import subprocess
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from opus_core.folder import Folders
from servers import OVER, Answer, Site, describe_ledger, kill, runs
from services.daemons import processes
from services.slurm import Cluster
from system.crashing import POINTS

CRASHING = Path(__file__).with_name("system") / "crashing.py"
MESSAGE_TIMEOUT = 5  # [s] of the cluster
NEAR, FAR = "near", "far"

# These are made on the cluster: the supervisor is killed from here when one is seen.
LINKS = {"claim made": "claim", "started": "started", "exit made": "exit"}
OF_THE_WEB = frozenset({"RUN committed"})  # no supervisor that is apart comes by

_AT_ONCE = 24  # jobs of a server that are not over
_PATIENCE = 15.0  # [s] until a labelled point is reached
_TRIES = 8
_SETTLES = 180.0  # [s] within which all has to be over once nothing is harmed any more
_FORGETS = 7.0  # [s] before its end that a killed controller may not have written down
_RECOVERS = 5.0  # [s] that it takes to know its nodes again

# Kills itself and the real one: before, in the middle of, and after the submission.
_SBATCH = """\
#!/bin/bash
if [[ ! -e {folder}/calm ]]; then
  case $((RANDOM % 15)) in
    0) echo before >>{folder}/deeds; kill -9 $$ ;;
    1) echo within >>{folder}/deeds
       {real} "$@" <&0 & sleep "0.0$((RANDOM % 6))"; kill -9 $! $$ ;;
    2) echo behind >>{folder}/deeds; {real} "$@" >/dev/null; kill -9 $$ ;;
  esac
fi
exec {real} "$@"
"""

# How a job may end that the controller forgot, or took for one that had not begun.
_SHAKEN = (
    "the job was lost",
    "the cluster restarted it",
    "its end was not recorded",
    "stopped by the system",
    "cancelled on the cluster",
    "the machine it ran on failed",
    "the cluster could not launch it",
)


@dataclass
class Entry:
    """One job as its client knows it."""

    word: str  # its RUNID
    ledger: Path
    seconds: float
    code: int
    wish: str  # "abort", "delete" or none
    url: str = ""  # none: its creation was not answered
    granted: bool = False  # the wish

    @property
    def id(self) -> str:
        return self.url.rpartition("/")[2]


@dataclass
class Verdict:
    """Faults, and what is worth knowing."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Stand:
    """One server, and what is known of it without asking it."""

    def __init__(self, cluster: Cluster, way: str, **options: str) -> None:
        """`options` of the manager, as TOML."""
        self.cluster, self.way, self.options = cluster, way, options
        folder = cluster.folder / f"{way}-{secrets.token_hex(2)}"
        (folder / "tmp").mkdir(parents=True)
        env = cluster.environment()
        keep = {"SLURM_CONF": env["SLURM_CONF"], "PATH": env["PATH"], "TMPDIR": f"{folder}/tmp"}
        self.site = Site(folder, prefix=("env", *(f"{key}={keep[key]}" for key in keep)))
        self.ledgers = folder / "ledgers"
        self.ledgers.mkdir()
        self.ledgers.chmod(0o1777)  # jobs of another account write there
        self.entries: list[Entry] = []
        self.faults: list[str] = []
        self.deeds: Counter[str] = Counter()
        self.configure(apart=False)
        describe_ledger(self.site)
        self.site.serve()  # so that there is a database from now on
        self.site.stop()

    def configure(self, *, apart: bool) -> None:
        manager = {"use": '"slurm"', "grace": "1", **self.options}
        if self.way == FAR:
            manager["host"] = f'"{self.cluster.ssh_host}"'
            manager["ssh_config"] = f'"{self.cluster.ssh_config}"'
        self.site.configure(
            server=f"port = {self.site.port}\nthreads = 16\nevent_url = '{self.site.url}'",
            supervisor="lease_seconds = 6\ngrace = 3\npoll_interval = 2\nevent_interval = 0.2\n"
            f"embedded = {str(not apart).lower()}",
            manager="\n".join(f"{key} = {value}" for key, value in manager.items()),
            jobs="min_free = 0",
        )

    @property
    def word(self) -> str:
        return json.loads((self.site.folder / "data/instance").read_text())["word"]

    @property
    def user(self) -> str | None:
        """Whose the jobs are on the cluster, as Cluster.run takes it."""
        return self.cluster.user if self.way == FAR else None

    def folder(self, job_id: str) -> Path:
        """A job's folder on the cluster."""
        if self.way == FAR:
            return self.cluster.home / "opus-jobs" / f"opus-{self.word}-{job_id}"
        return self.site.job_folder(job_id)

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        path = self.site.folder / "data/opus.sqlite"
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)) as base:
            base.row_factory = sqlite3.Row
            return base.execute(query, values).fetchall()

    def ids(self, condition: str) -> list[str]:
        return [row["id"] for row in self.rows(f"SELECT id FROM jobs WHERE {condition}")]

    @property
    def busy(self) -> list[str]:
        """Jobs that something is still to be done for."""
        return self.ids("doomed OR work NOT IN ('NONE', 'RELEASED')")

    @property
    def epoch(self) -> int:
        return max((row["epoch"] for row in self.rows("SELECT epoch FROM leases")), default=0)

    def fault(self, sentence: str) -> None:
        self.faults.append(f"{self.way}: {sentence}")


class Client(threading.Thread):
    """Makes jobs, and changes its mind about some of them, whatever becomes of the server."""

    def __init__(self, stand: Stand, number: int, dice: random.Random) -> None:
        super().__init__(name=f"client-{stand.way}", daemon=True)
        self.stand, self.number, self.dice = stand, number, dice
        self.stopping = threading.Event()
        self.wishes: list[tuple[float, str]] = []
        self.by_word: dict[str, Entry] = {}

    @property
    def known(self) -> int:
        """Jobs that the server has acknowledged."""
        return sum(bool(entry.url) for entry in self.stand.entries)

    def run(self) -> None:
        try:
            while not self.stopping.wait(self.dice.uniform(0.02, 0.25)):
                self._come_true()
                # When all are made some more go on, since there are points still to be come by.
                most = _AT_ONCE if self.known < self.number else _AT_ONCE // 4
                if len(self.stand.busy) < most:
                    self._create()
            while self.wishes and not self.stopping.wait(0.1):
                self._come_true()
        except Exception:
            self.stand.fault(f"its client stumbled: {traceback.format_exc()}")

    def abort_starting(self) -> None:
        """Change our mind about all that is being submitted just now."""
        starting = set(self.stand.ids("work = 'STARTING'"))
        for entry in list(self.stand.entries):
            if entry.id in starting and not entry.wish:
                entry.wish = "abort"
                heapq.heappush(self.wishes, (time.monotonic(), entry.word))

    def finish(self) -> None:
        """Make no more jobs, and wait until every wish has been heard."""
        self.stopping.set()
        self.join(timeout=60)
        deadline = time.monotonic() + 60
        while self.wishes and time.monotonic() < deadline:
            self._come_true(all_of_them=True)
            time.sleep(0.05)

    def _create(self) -> None:
        dice = self.dice
        word = f"{self.stand.way}-{len(self.stand.entries)}"
        entry = Entry(
            word=word,
            ledger=self.stand.ledgers / word,
            seconds=dice.choice([0, 0, 0, dice.uniform(0.2, 2)]),
            code=dice.choice([0, 0, 0, 0, 3]),
            wish=dice.choices(["", "abort", "delete"], [7, 2, 1])[0],
        )
        if entry.wish:
            entry.seconds *= 3
        self.stand.entries.append(entry)
        self.by_word[word] = entry
        form = {
            "ledger": str(entry.ledger),
            "seconds": f"{entry.seconds:.2f}",
            "code": str(entry.code),
            "RUNID": word,
            "PHASE": "RUN",
        }
        answer = self._ask("POST", "/rest/ledger", form)
        if answer is None:
            return  # made or not: the end will tell
        if answer.status != 303:
            self.stand.entries.pop()
            if answer.status != 503:
                self.stand.fault(f"{word} was not made: {answer.status} {answer.text}")
            return
        entry.url = answer.location
        if entry.wish:
            moment = time.monotonic() + dice.choice([0, dice.uniform(0, 4)])
            heapq.heappush(self.wishes, (moment, word))

    def _come_true(self, *, all_of_them: bool = False) -> None:
        while self.wishes and (all_of_them or self.wishes[0][0] <= time.monotonic()):
            entry = self.by_word[self.wishes[0][1]]
            if entry.wish == "abort":
                answer = self._ask("POST", f"{entry.url}/phase", {"PHASE": "ABORT"})
            else:
                answer = self._ask("DELETE", entry.url)
            if answer is None or answer.status == 503:
                return  # later
            heapq.heappop(self.wishes)
            # A deletion that was not answered may have been heard.
            entry.granted = answer.status == 303 or (entry.wish, answer.status) == ("delete", 404)
            if not entry.granted:
                self.stand.fault(f"{entry.id} {entry.wish}: {answer.status} {answer.text}")

    def _ask(self, method: str, path: str, form: dict[str, str] | None = None) -> Answer | None:
        try:
            return self.stand.site.request(method, path, form, timeout=20)
        except ConnectionRefusedError:
            return Answer(503, http.client.HTTPMessage(), b"it is not there")
        except (OSError, http.client.HTTPException):
            return None


class Killer(threading.Thread):
    """Kills a server's supervisor again and again, and starts it as an init system would.

    Half of the time the supervisor is in the web server, half of the time apart; `labels` are the
    points at which it has to die in each.
    """

    def __init__(
        self, client: Client, labels: dict[bool, list[str]], dice: random.Random, most: float
    ) -> None:
        super().__init__(name=f"killer-{client.stand.way}", daemon=True)
        self.client, self.stand, self.labels, self.dice = client, client.stand, labels, dice
        self.deadline = time.monotonic() + most

    def run(self) -> None:
        try:
            for number, (apart, labels) in enumerate(self.labels.items(), 1):
                self._half(apart, labels, self.client.number * number // len(self.labels))
        except Exception:
            self.stand.fault(f"its killer stumbled: {traceback.format_exc()}")

    def _half(self, apart: bool, labels: list[str], number: int) -> None:
        site = self.stand.site
        self.stand.configure(apart=apart)
        web = site.serve() if apart else None
        todo = list(labels)
        self.dice.shuffle(todo)
        tries: Counter[str] = Counter()
        at_random = False
        while todo or self.client.known < number:
            if time.monotonic() > self.deadline:
                self.stand.fault(f"{self.client.known} jobs, {todo} were not come by in time")
                return
            label = todo.pop(0) if todo and not at_random else ""
            at_random = not at_random
            if not label:
                self._life(apart, self._acting)
                self.stand.deeds["at random"] += 1
            elif self._die_at(label, apart):
                self.stand.deeds[label] += 1
            else:
                tries[label] += 1
                if tries[label] < _TRIES:
                    todo.append(label)
                else:
                    self.stand.fault(f"{label!r} was not reached in {_TRIES} lives")
        if web is not None:
            web.terminate()
            if web.wait(timeout=60):
                self.stand.fault(f"the web server ended with {web.returncode}")
            site.processes.remove(web)

    def _die_at(self, label: str, apart: bool) -> bool:
        if label in LINKS:
            return self._life(apart, lambda process: self._link_made(process, LINKS[label]))

        def flagged(process: subprocess.Popen[bytes]) -> bool:
            deadline = time.monotonic() + _PATIENCE
            while process.poll() is None and time.monotonic() < deadline:
                if label == "ABORT during start":
                    self.client.abort_starting()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.5)
            return (self.stand.site.folder / "crashed").exists()

        (self.stand.site.folder / "crashed").unlink(missing_ok=True)
        return self._life(apart, flagged, "--at", label)

    def _life(
        self, apart: bool, end: Callable[[subprocess.Popen[bytes]], bool], *words: str
    ) -> bool:
        """One life, until `end` has waited for the right moment; answers whether that came."""
        site = self.stand.site
        what = "supervise" if apart else "serve"
        process = site.start(*words, what, program=CRASHING if words else None)
        came = end(process)
        if process.poll() is None:
            kill(process)
        elif process.returncode != -9:
            said = (site.folder / "stderr.log").read_text()[-1500:]
            self.stand.fault(f"{what} ended with {process.returncode}: {said}")
        site.processes.remove(process)
        return came

    def _acting(self, process: subprocess.Popen[bytes]) -> bool:
        """Some moment after it has begun to act."""
        before, deadline = self.stand.epoch, time.monotonic() + _PATIENCE
        while self.stand.epoch == before and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(self.dice.choice([self.dice.uniform(0, 0.5), self.dice.uniform(0, 4)]))
        return True

    def _link_made(self, process: subprocess.Popen[bytes], name: str) -> bool:
        """A link is made that was not there."""
        deadline = time.monotonic() + _PATIENCE
        seen: set[str] | None = None
        while time.monotonic() < deadline:
            busy = self.stand.ids("work IN ('STARTING', 'LIVE')")
            made = {one for one in busy if os.path.lexists(self.stand.folder(one) / name)}
            if seen is not None and made - seen:
                return True
            seen = made | (seen or set())
            time.sleep(0.01)
        return False


class Weather(threading.Thread):
    """Kills the controller, and cuts ssh."""

    def __init__(
        self, cluster: Cluster, clients: list[Client], kills: int, dice: random.Random
    ) -> None:
        super().__init__(name="weather", daemon=True)
        self.cluster, self.clients, self.kills, self.dice = cluster, clients, kills, dice
        self.stopping = threading.Event()
        self.deeds: Counter[str] = Counter()
        self.outages: list[tuple[float, float]] = []  # of the controller
        self.faults: list[str] = []

    def run(self) -> None:
        harms = [self.cut, self.hang]
        try:
            # Foreign jobs have been submitted just now, and are to be remembered.
            pause = _FORGETS + 1
            while not self.stopping.wait(pause):
                done = sum(client.known for client in self.clients)
                share = done / sum(client.number for client in self.clients)
                killed = len(self.outages)
                if killed < self.kills and share > (killed + 1) / (self.kills + 2):
                    self.kill_controller()
                else:
                    harms.append(harms.pop(0))
                    harms[0]()
                self.resume_nodes()
                pause = self.dice.uniform(4, 9)
            while len(self.outages) < self.kills:
                self.kill_controller()
        except Exception:
            self.faults.append(f"the weather stumbled: {traceback.format_exc()}")

    def kill_controller(self) -> None:
        begin = time.time()
        self.cluster.kill("ctld")
        time.sleep(self.dice.uniform(0.2, 4))
        self.cluster.start("ctld")
        self.outages.append((begin, time.time()))
        self.deeds["controller killed"] += 1

    def resume_nodes(self) -> None:
        """As an operator would: a node is drained when a job is sent to it that runs there, of
        which the controller has forgotten that."""
        query = ("sinfo", "-h", "-N", "-p", "main", "-t", "drain", "-o", "%N")
        for name in self.cluster.run(*query, check=False).stdout.split():
            resume = ("scontrol", "update", f"nodename={name}", "state=resume")
            self.cluster.run(*resume, check=False)
            self.deeds["node resumed"] += 1

    def cut(self) -> None:
        self.cluster.kill("sshd")
        time.sleep(self.dice.uniform(0.2, 3))
        self.cluster.start("sshd")
        self.deeds["ssh cut"] += 1

    def hang(self) -> None:
        self.cluster.pause("sshd")
        time.sleep(self.dice.uniform(1, 6))
        self.cluster.cont("sshd")
        self.deeds["ssh hung"] += 1


@dataclass
class Stranger:
    """A job of the same account that is none of ours."""

    stand: Stand
    name: str
    job_id: str


def strangers(stand: Stand) -> list[Stranger]:
    """Jobs with other names, some nearly those of ours."""
    deadline = time.monotonic() + 60
    while not (ids := stand.ids("tag IS NOT NULL")):
        if time.monotonic() > deadline:
            raise AssertionError(f"{stand.way}: no job within 60 s; {stand.faults}")
        time.sleep(0.05)
    tag = f"opus-{stand.word}-{ids[0]}"
    found = []
    for name in ("sleeper", f"opus-{stand.word}", tag[:-1], f"{tag}0"):
        answer = stand.cluster.run(
            *("sbatch", "--parsable", f"--job-name={name}", "--chdir=/", "--output=/dev/null"),
            *("--no-requeue", "--wrap=exec sleep 86400"),
            user=stand.user,
        )
        found.append(Stranger(stand, name, answer.stdout.strip()))
    return found


def ordeal(cluster: Cluster, number: int, seed: str, *, most: float = 600.0) -> Verdict:
    """Let `number` jobs through all of it, half of them by each way; it lasts `most` seconds at
    most, and is then a fault. The cluster must have been made for it; see `CLUSTER`."""
    begin = time.monotonic()
    shim = cluster.folder / "shim"
    shim.mkdir()
    shim.chmod(0o777)
    (shim / "deeds").touch()
    (shim / "deeds").chmod(0o666)
    real = shutil.which("sbatch", path=cluster.environment()["PATH"])
    (shim / "sbatch").write_text(_SBATCH.format(folder=shim, real=real))
    (shim / "sbatch").chmod(0o755)

    options = {
        "visible_after": str(MESSAGE_TIMEOUT + 3),
        "commands": f'{{ sbatch = "{shim}/sbatch" }}',
    }
    stands = [Stand(cluster, way, **options) for way in (NEAR, FAR)]
    clients = [Client(stand, number // 2, random.Random(f"{seed} {stand.way}")) for stand in stands]
    killers = [
        Killer(client, _labels(apart_first=stand.way == FAR), random.Random(f"{seed} {n}"), most)
        for n, (client, stand) in enumerate(zip(clients, stands, strict=True))
    ]
    weather = Weather(cluster, clients, 2 * max(1, number // 300), random.Random(f"{seed} w"))
    foreign: list[Stranger] = []
    try:
        for thread in (*killers, *clients):
            thread.start()
        foreign = [one for stand in stands for one in strangers(stand)]
        weather.start()
        for killer in killers:
            killer.join()
        harmed = time.monotonic() - begin
        weather.stopping.set()
        weather.join()
        (shim / "calm").touch()
        for stand in stands:
            stand.configure(apart=False)
            stand.site.serve()
        for client in clients:
            client.finish()
        quiet = time.monotonic()
        while any(stand.busy or _leftover_processes(stand) for stand in stands):
            if time.monotonic() - quiet > _SETTLES:
                break
            weather.resume_nodes()
            time.sleep(0.5)
        settled = time.monotonic() - quiet
        verdict = Verdict()
        twice = _given_twice(cluster)
        for stand in stands:
            judged = judge(stand, weather.outages, twice)
            verdict.faults += judged.faults
            verdict.notes += judged.notes
        verdict.faults += weather.faults
        verdict.faults += [fault for one in foreign for fault in _touched(one)]
    finally:
        for one in foreign:
            cluster.run("scancel", one.job_id, check=False)
        for stand in stands:
            stand.site.stop()
    deeds = Counter((shim / "deeds").read_text().split())
    verdict.notes += [
        f"{len(twice)} numbers were given out twice",
        f"the weather: {dict(weather.deeds)}; sbatch killed: {dict(deeds)}",
        f"{harmed:.0f} s of harm, all was over after {settled:.1f} s of quiet",
    ]
    return verdict


# What `ordeal` needs of a cluster.
CLUSTER = {"ssh": True, "message_timeout": MESSAGE_TIMEOUT, "cpus": 16}


def _labels(*, apart_first: bool) -> dict[bool, list[str]]:
    """Each point once by each way, and by the other way in the other place."""
    apart = [label for label in POINTS if label not in OF_THE_WEB]
    one, other = apart[::2], apart[1::2]
    if apart_first:
        return {True: one, False: [*other, *OF_THE_WEB]}
    return {False: [*one, *OF_THE_WEB], True: other}


# -- the verdict


def judge(stand: Stand, outages: list[tuple[float, float]], twice: frozenset[str]) -> Verdict:
    """Look at everything: what clients see, the database, the folders, the processes, the log.

    `twice`: numbers that the cluster gave to two jobs.
    """
    rows = {row["id"]: row for row in stand.rows("SELECT * FROM jobs")}
    by_word = {row["run_id"]: row for row in rows.values()}
    shaken = _shaken(stand, outages) | {
        job_id for job_id, row in rows.items() if twice.intersection(json.loads(row["native_ids"]))
    }
    verdict = Verdict(faults=list(stand.faults))
    ends: Counter[str] = Counter()
    for entry in stand.entries:
        if not entry.url and entry.word in by_word:
            entry.url = f"/rest/ledger/{by_word[entry.word]['id']}"
        verdict.faults += _faults(stand, entry, rows, shaken, ends)
    if len(by_word) != len(rows):
        verdict.faults.append(f"{stand.way}: jobs were made twice")
    for row in rows.values():
        if row["doomed"] or row["work"] not in ("NONE", "RELEASED"):
            verdict.faults.append(
                f"{stand.way}: {row['id']} is stuck: {row['phase']} {row['work']}"
            )
    verdict.faults += [f"{stand.way}: {fault}" for fault in _left(stand, rows)]
    verdict.faults += [f"{stand.way}: {fault}" for fault in _logged(stand)]
    known = sum(bool(entry.url) for entry in stand.entries)
    verdict.notes += [
        f"{stand.way}: {known} jobs: {dict(ends)}",
        f"{stand.way}: killed {sum(stand.deeds.values())} times: {dict(stand.deeds)}",
    ]
    return verdict


def _faults(
    stand: Stand,
    entry: Entry,
    rows: dict[str, sqlite3.Row],
    shaken: frozenset[str],
    ends: Counter[str],
) -> Iterator[str]:
    times, who = runs(entry.ledger), f"{stand.way}: {entry.word} {entry.id}"
    if times > 1:
        yield f"{who} ran {times} times"
    if not entry.url:
        ends["never made"] += 1
        if times:
            yield f"{who} ran, and nobody knows it"
        return
    if entry.wish == "delete" and entry.granted:
        ends["deleted"] += 1
        if stand.site.get(entry.url).status != 404 or entry.id in rows:
            yield f"{who} was deleted and is there"
        return
    document = stand.site.document(entry.url)
    phase = document["phase"]
    said = (document["errorSummary"] or {}).get("message", "")
    as_planned = f"exit code {entry.code}" in said if entry.code else phase == "COMPLETED"
    ends[phase if as_planned or (phase == "ABORTED" and not said) else f"{phase} {said[:40]}"] += 1
    if as_planned:
        right = phase == ("ERROR" if entry.code else "COMPLETED") and times == 1
    elif phase == "ABORTED" and entry.wish == "abort" and entry.granted:
        right = True
    else:
        right = entry.id in shaken and phase in OVER and said.startswith(_SHAKEN)
    if not right:
        where = "shaken" if entry.id in shaken else "not shaken"
        yield f"{who} ({entry}) is {phase} ({said}) and ran {times} times; {where}"


def _shaken(stand: Stand, outages: list[tuple[float, float]]) -> frozenset[str]:
    """Jobs that were the cluster's when a controller was killed that had not noted them yet."""
    lives: dict[str, tuple[float, float]] = {}
    for row in stand.rows("SELECT job_id, new, time FROM journal ORDER BY seq"):
        moment = row["time"] / 1e6
        begin, _ = lives.get(row["job_id"], (moment, moment))
        lives[row["job_id"]] = (begin, moment)
    return frozenset(
        job_id
        for job_id, (begin, end) in lives.items()
        if any(begin < stop + _RECOVERS and end > start - _FORGETS for start, stop in outages)
    )


def _given_twice(cluster: Cluster) -> frozenset[str]:
    """Numbers that a controller gave out, forgot when it was killed, and gave out again. A node
    that still has the first job refuses the second, and has the controller cancel it."""
    log = (cluster.folder / "log/ctld.log").read_text(errors="replace")
    given = Counter(re.findall(r"_slurm_rpc_submit_batch_job: JobId=(\d+) ", log))
    return frozenset(number for number, times in given.items() if times > 1)


def _left(stand: Stand, rows: dict[str, sqlite3.Row]) -> Iterator[str]:
    for found in _leftover_processes(stand):
        yield f"a process is left: {found}"
    # What was half built or half removed when the supervisor was killed is swept after a day.
    folders = Folders(stand.site.folder / "data/jobs")
    for job_id in folders.sweep(rows.__contains__, older_than=0):
        yield f"the folder {job_id} belonged to no job"
    for folder in folders.root.glob("??/*"):
        if folder.name not in rows:
            yield f"{folder} is left"
    if stand.way == FAR:
        for folder in (stand.cluster.home / "opus-jobs").glob(f"opus-{stand.word}-*"):
            # The claim stays, so that nothing begins there again; a copy that comes late says in
            # its log that it has left.
            names = {entry.name for entry in folder.iterdir()}
            if not {"claim"} <= names <= {"claim", "batch.log"}:
                yield f"{folder.name} on the cluster holds {names}"
    query = ("squeue", "-h", "-t", "PENDING,SUSPENDED", "-o", "%j %T %r")
    for line in stand.cluster.run(*query).stdout.splitlines():
        if line.startswith(f"opus-{stand.word}-"):
            yield f"still in the queue: {line}"


def _leftover_processes(stand: Stand) -> list[str]:
    mark = f"OPUS_TAG=opus-{stand.word}-".encode()
    return [
        f"{one.pid} {one.name}"
        for one in processes()
        if any(variable.startswith(mark) for variable in one.environment)
    ]


def _logged(stand: Stand) -> Iterator[str]:
    for path in (stand.site.folder / "data/opus.log", stand.site.folder / "stderr.log"):
        text = path.read_text(errors="replace") if path.exists() else ""
        for match in re.finditer(r"Traceback[^\n]*\n(?:[ +|].*\n)*(.*)", text):
            begin = text.rfind("\n", 0, match.start() - 1) + 1
            yield f"{path.name} has a trace: {text[begin : match.end()]}"
        for line in text.splitlines():
            parts = line.split(" ", 2)
            if len(parts) == 3 and parts[1] in ("ERROR", "CRITICAL"):
                yield f"{path.name}: {line}"


def _touched(one: Stranger) -> Iterator[str]:
    query = ("squeue", "-h", "-t", "all", "-j", one.job_id, "-o", "%j %T")
    shown = one.stand.cluster.run(*query, check=False).stdout.strip()
    if shown != f"{one.name} RUNNING":
        yield f"{one.stand.way}: the foreign job {one.job_id} {one.name} is {shown!r}"
