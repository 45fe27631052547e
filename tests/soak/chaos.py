"""Kill and pause processes at random, and start them again as an init system would."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from soak import gauges
from soak.book import Book
from soak.databases import Postgres
from soak.sites import LEASE, Soaked

_STARTS = 30.0  # [s] that a supervisor takes to get up on a busy machine, at most
_EVERY = 60.0  # [s] within which somebody is killed, whatever the dice say


class Chaos(threading.Thread):
    """Does harm every few seconds, until it is told to stop; then everything runs again."""

    def __init__(self, site: Soaked, book: Book, seed: str, *, apart: bool) -> None:
        super().__init__(name="chaos", daemon=True)
        self.site, self.book, self.apart = site, book, apart
        self.dice = random.Random(seed)
        self.stopping = threading.Event()
        self.deeds: list[str] = []
        self.windows: list[tuple[float, float]] = []  # in which the web may be silent
        self.breaks: list[tuple[float, float]] = []  # in which it may stop in the middle
        self.slow: list[str] = []
        self.kills: list[float] = []  # instants of kill -9 of a server or a supervisor
        self.again = 0  # supervisors that did not get up while there was no database
        self._begun: dict[int, float] = {}  # when each supervisor was started, by its pid
        self.web: subprocess.Popen[bytes]
        self.supervisors: list[subprocess.Popen[bytes]] = []

    def start_all(self) -> None:
        """Everything that is to run."""
        self.web = self.site.serve()
        if self.apart:
            self.supervisors = [self._supervise() for _ in range(2)]

    @property
    def processes(self) -> list[subprocess.Popen[bytes]]:
        return [self.web, *self.supervisors]

    def run(self) -> None:
        harms: dict[Callable[[], None], int] = {
            self.kill_web: 5,
            self.end_web: 1,
            self.kill_starting_web: 1,
            self.hurt_a_job: 3,
        }
        if self.apart:
            harms |= {
                self.kill_supervisor: 6,
                self.end_supervisor: 1,
                self.pause_supervisor: 3,
                self.kill_starting_supervisors: 1,
                self.kill_all: 1,
            }
        else:
            harms |= {self.pause_web: 2}
        if isinstance(self.site.database, Postgres):
            harms |= {self.cut_connections: 2, self.crash_database: 1, self.restart_database: 1}
        turns = itertools.cycle([self.kill_web, self.kill_supervisor, self.kill_all])
        begin = time.monotonic()
        while not self.stopping.wait(self.dice.uniform(0.1, 5)):
            (harm,) = self.dice.choices(list(harms), list(harms.values()))
            last = self.kills[-1] if self.kills else begin
            if time.monotonic() - last > _EVERY / 2:
                harm = next(turns) if self.apart else self.kill_web
            self.deeds.append(harm.__name__)
            self._note(f"{harm.__name__} of {[process.pid for process in self.processes]}")
            try:
                self._revive()
                harm()
            except Exception as error:
                self.book.fault(f"{harm.__name__} showed a fault: {error!r}")
            self._note(f"{harm.__name__} done: {[process.pid for process in self.processes]}")

        self._revive()

    def _supervise(self) -> subprocess.Popen[bytes]:
        process = self.site.start("supervise")
        self._begun[process.pid] = time.monotonic()
        return process

    def _revive(self) -> None:
        """What an init system does with a supervisor that says it cannot start and ends."""
        for place, one in enumerate(self.supervisors):
            if one.poll() is not None:
                self._gone(one)
                self.supervisors[place] = self._supervise()

    def _refused(self, process: subprocess.Popen[bytes], code: int) -> bool:
        """It was just starting while there was no database, which is no fault of its own."""
        refused = code == 2 and self._is_young(process) and isinstance(self.site.database, Postgres)
        self.again += refused
        return refused

    def _is_young(self, process: subprocess.Popen[bytes]) -> bool:
        """It may be a supervisor that is still starting."""
        return time.monotonic() - self._begun.get(process.pid, -_STARTS) < _STARTS

    def _note(self, what: str) -> None:
        """For whoever wants to know what happened to a job."""
        with (self.site.folder / "chaos.log").open("a") as log:
            log.write(f"{datetime.now(UTC):%H:%M:%S.%f} {what}\n")

    # -- harms

    def kill_web(self) -> None:
        self.kills.append(time.monotonic())
        self._replace_web(signal.SIGKILL)

    def end_web(self) -> None:
        self._replace_web(signal.SIGTERM)

    def kill_starting_web(self) -> None:
        """Again and again, while it finds out what the last one left."""
        with self._away():
            for _ in range(3):
                self.web.kill()
                self._gone(self.web)
                self.web = self.site.start("serve")
                self.stopping.wait(self.dice.uniform(0, 1.5))
            self.site.wait_until_up(self.web)

    def pause_web(self) -> None:
        """With the supervisor in it."""
        with self._away():
            self._pause(self.web)

    def kill_supervisor(self) -> None:
        self.kills.append(time.monotonic())
        self._replace_supervisor(signal.SIGKILL)

    def end_supervisor(self) -> None:
        self._replace_supervisor(signal.SIGTERM)

    def kill_starting_supervisors(self) -> None:
        """All of them, again and again."""
        for _ in range(3):
            for one in self.supervisors:
                one.kill()
            for one in self.supervisors:
                self._gone(one)
            self.supervisors = [self._supervise() for _ in range(2)]
            self.stopping.wait(self.dice.uniform(0, 1.5))

    def pause_supervisor(self) -> None:
        # Whoever sleeps with SQLite's lock stops every writer, so the web may say 503.
        self._pause(self.dice.choice(self.supervisors))

    def kill_all(self) -> None:
        self.kills.append(time.monotonic())
        with self._away():
            for process in self.processes:
                process.kill()
            for process in self.processes:
                self._gone(process)
            self._doze()
            self.supervisors = [self._supervise() for _ in range(2)]
            self.web = self.site.serve()

    def hurt_a_job(self) -> None:
        """kill -9 of any process of any job: launcher, wrapper, script or what that has begun."""
        found = gauges.job_processes(self.site)
        if not found:
            return
        pid, job_id = self.dice.choice(found)
        with self.book.lock:
            self.book.hurt.add(job_id)
        gauges.kill(pid)

    def crash_database(self) -> None:
        """As after a power cut. Requests are answered all the while, by 503; a long list that has
        been begun cannot be brought to its end."""
        self._restart_database(signal.SIGQUIT)

    def restart_database(self) -> None:
        self._restart_database(signal.SIGINT)

    def cut_connections(self) -> None:
        """Of everybody to the database, at once."""
        database = self.site.database
        assert isinstance(database, Postgres)
        with _Window(self.breaks):
            database.cut_connections()

    # -- their parts

    def _restart_database(self, how: signal.Signals) -> None:
        database = self.site.database
        assert isinstance(database, Postgres)
        with _Window(self.breaks):
            database.server.stop(how)
            self._doze()
            database.server.start()

    def _replace_web(self, number: signal.Signals) -> None:
        with self._away():
            begin = time.monotonic()
            self.web.send_signal(number)
            self._gone(self.web, number)
            self._in_time("web server", number, begin)
            self._doze()
            self.web = self.site.serve()

    def _replace_supervisor(self, number: signal.Signals) -> None:
        one = self.dice.choice(self.supervisors)
        begin = time.monotonic()
        one.send_signal(number)
        self._gone(one, number)
        self._in_time("supervisor", number, begin)
        self._doze()
        self.supervisors[self.supervisors.index(one)] = self._supervise()

    def _pause(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGSTOP)
        self._note(f"paused {process.pid}")
        try:
            self.stopping.wait(self.dice.uniform(0.5, 3 * LEASE))
        finally:
            process.send_signal(signal.SIGCONT)

    def _gone(
        self, process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGKILL
    ) -> None:
        code = process.wait(timeout=90)
        self.site.processes.remove(process)
        right = code == (0 if number == signal.SIGTERM else -number)
        # Python had not come to say what it does with SIGTERM.
        right = right or (code == -number and self._is_young(process))
        if not right and not self._refused(process, code):
            self.book.fault(f"process {process.pid} ended with {code} and not by {number.name}")

    def _in_time(self, what: str, number: signal.Signals, begin: float) -> None:
        took = time.monotonic() - begin
        if took > 10:
            self.slow.append(f"the {what} took {took:.1f} s to end after {number.name}")

    def longest_peace(self) -> float:
        """The longest time without a kill -9 [s]; 0 if there was none."""
        return max((b - a for a, b in itertools.pairwise(self.kills)), default=0.0)

    def _doze(self) -> None:
        self.stopping.wait(self.dice.choice([0, 0, 0.5, 3]))

    def _away(self) -> _Window:
        return _Window(self.windows)


class _Window:
    """A time in which that may happen to requests."""

    def __init__(self, windows: list[tuple[float, float]]) -> None:
        self._windows = windows

    def __enter__(self) -> None:
        self._begin = time.time()

    def __exit__(self, *failure: object) -> None:
        self._windows.append((self._begin, time.time()))
