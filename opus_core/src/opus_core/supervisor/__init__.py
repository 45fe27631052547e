"""The only caller of managers: it drives every job's work, one supervisor at a time.

    storage.todo -> by the job's work -> inputs  WANTED, with inputs to be fetched from URLs
                                         submit  WANTED, STARTING
                                         poll    LIVE             (also by the clock)
                                         fetch   ENDED
                                         reap    doomed, and NONE or RELEASED

A job is in one place at a time, and each part has threads of its own, so that one which hangs
holds up nobody else's jobs. Whatever is interrupted is found again by what was saved last; see
`docs/` on a job's life for every crash point.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from types import MappingProxyType

from opus_core import job as jobs
from opus_core import lifecycle
from opus_core.auth.audit import Audit
from opus_core.backends import HealthState, Manager, Storage
from opus_core.datadir import INSTANCE_STREAM, DataDir
from opus_core.definitions import Catalogue
from opus_core.errors import ConfigError, OpusError, Unavailable, UnknownJob
from opus_core.facts import about, during
from opus_core.folder import Folders
from opus_core.job import Change, Job, Work
from opus_core.supervisor.desk import Desk, Settings
from opus_core.supervisor.fetch import Fetcher
from opus_core.supervisor.inputs import Inputs
from opus_core.supervisor.observe import Observer, forget_others
from opus_core.supervisor.outputs import Outputs
from opus_core.supervisor.poll import Poller
from opus_core.supervisor.pool import Pool
from opus_core.supervisor.reap import Reaper
from opus_core.supervisor.submit import Submitter
from opus_core.supervisor.tenure import NotActing, Tenure
from opus_core.supervisor.trouble import UNFORESEEN, Trouble

__all__ = ["Settings", "Supervisor", "check_home", "check_instance"]

log = logging.getLogger(__name__)

_TICK = 0.25  # [s] between two looks for what other processes have asked for
_REAP_INTERVAL = 5.0  # [s]
_SWEEP_INTERVAL = 3600.0  # [s]
_PENALTY = 10.0  # [s] a job that could not be attended to is left alone
_EXPIRED = timedelta(days=30)  # that a token stays in the list after it has expired
_ABANDONED = 300.0  # [s] between two looks at a job of a manager that is no longer configured
_LAST_CHANGE = 30.0  # [s] that plugins have to come back from a change when this stops
_AT_ONCE = 256  # jobs listed together
_INPUTS_IN_LINE = 50  # jobs of one owner that wait for their inputs; more are listed later


class Supervisor:
    """Drives jobs until it is stopped; acts only while it holds the lease."""

    def __init__(
        self,
        *,
        storage: Storage,
        manager: Manager,
        catalogue: Catalogue,
        folders: Folders,
        data_dir: DataDir,
        settings: Settings,
        changed: Callable[[str], None] = lambda job_id: None,
        observers: Mapping[str, Callable[[Change], None]] = MappingProxyType({}),
    ) -> None:
        self._changed = changed
        self._wake = threading.Event()
        self._tenure = Tenure(storage, seconds=settings.lease_seconds)
        self._desk = Desk(
            storage=storage,
            manager=manager,
            catalogue=catalogue,
            folders=folders,
            data_dir=data_dir,
            tenure=self._tenure,
            settings=settings,
            trouble=Trouble(storage),
            changed=self._saved,
        )
        self._inputs = Inputs(self._desk)
        self._submitter = Submitter(self._desk)
        self._poller = Poller(self._desk)
        self._fetcher = Fetcher(self._desk)
        self._outputs = Outputs(self._desk)
        self._reaper = Reaper(self._desk)
        self._observers = [
            Observer(name, tell, storage, self._tenure) for name, tell in observers.items()
        ]
        self._input_pool = Pool("opus-input", 8, self._wake.set, share=2, line=_INPUTS_IN_LINE)
        self._submit_pool = Pool("opus-submit", manager.parallel, self._wake.set)
        self._output_pool = Pool("opus-output", 1, self._wake.set)
        self._fetch_pool = Pool("opus-fetch", min(4, manager.parallel), self._wake.set)
        self._reap_pool = Pool("opus-reap", 2, self._wake.set)
        self._pools = (
            self._input_pool,
            self._submit_pool,
            self._output_pool,
            self._fetch_pool,
            self._reap_pool,
        )
        self._lock = threading.Lock()
        self._penalties: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="opus-supervisor", daemon=True)

    @property
    def acting(self) -> bool:
        """This is the one supervisor that acts."""
        return self._tenure.acting

    def start(self) -> None:
        """Begin; raises `ConfigError` if the data folder is a copy of another installation's."""
        desk = self._desk
        check_instance(desk.data_dir, desk.storage)
        _settle(desk.data_dir)
        if f"manager {desk.manager.name}" in desk.storage.health():  # see _leave
            sentence = f"the {desk.manager.name} manager is configured again"
            desk.say(f"manager {desk.manager.name}", HealthState.OK, sentence, jobs.now())
        forget_others(desk.storage, [observer.name for observer in self._observers])
        self._tenure.start()
        self._poller.start()
        for observer in self._observers:
            observer.start()
        self._thread.start()

    def wake(self) -> None:
        """Something is to be done: look now instead of at the next tick."""
        self._wake.set()

    def look_at(self, job_id: str, what: str = "event") -> bool:
        """Look at a LIVE job soon, to which something happened (`begin` or `event`, as pokes
        say); False if others are to do that."""
        if not self._tenure.acting:
            return False
        self._poller.look_at(job_id, due=False, event=what)
        return True

    def stop(self) -> None:
        """Finish what is being done, give the lease up. Jobs go on running."""
        self._stopping.set()
        self._wake.set()
        self._inputs.finish()
        self._outputs.finish()
        self._poller.finish()
        for observer in self._observers:
            observer.finish()
        self._tenure.finish()
        if self._thread.ident is not None:
            self._thread.join(timeout=30)
        for pool in self._pools:
            pool.stop()
        self._poller.join()
        deadline = time.monotonic() + _LAST_CHANGE
        for observer in self._observers:
            observer.join(max(0.0, deadline - time.monotonic()))
        self._tenure.stop()

    def _saved(self, job_id: str) -> None:
        """A part has saved a job, which may be another part's from now on."""
        self._changed(job_id)
        self._wake.set()

    # -- the loop

    def _run(self) -> None:
        next_reap = next_sweep = 0.0
        while not self._stopping.is_set():
            try:
                if not self._tenure.wait(1.0):
                    continue
                begin = time.monotonic()
                if begin >= next_reap:
                    next_reap = begin + _REAP_INTERVAL
                    self._reap_pool.give("expired", self._reaper.destroy_expired)
                    self._reap_pool.give("trouble", self._desk.trouble.review)
                if begin >= next_sweep:
                    next_sweep = begin + _SWEEP_INTERVAL
                    self._reap_pool.give("sweep", self._sweep)
                self._wake.clear()
                if self._dispatch():
                    continue
                # Every job done with wakes this thread, and a long line makes a look dear.
                self._stopping.wait(min(_TICK, 4 * (time.monotonic() - begin)))
                # Woken by a change in this process, by a job that is done with, or by the tick.
                self._wake.wait(_TICK)
            except OpusError as error:
                log.warning("the supervisor cannot go on yet: %s", error.sentence)
                self._stopping.wait(1.0)
            except Exception:
                log.exception("the supervisor stumbled")
                self._stopping.wait(1.0)

    def _dispatch(self) -> bool:
        """Give what is due to its part; True if there may be more that can be given."""
        present = time.monotonic()
        with self._lock:
            self._penalties = {k: v for k, v in self._penalties.items() if v > present}
            busy = frozenset(self._penalties)
        exclude = busy.union(self._poller.asked, *(pool.under_way for pool in self._pools))
        due = self._desk.storage.todo(_AT_ONCE, exclude)
        given = [self._place(job) for job in due]
        return len(due) == _AT_ONCE and any(given)

    def _place(self, job: Job) -> bool:
        """Give a job to the part that it needs; False if that has to wait."""
        pokes = self._desk.storage.take_pokes(job.id)
        if job.work not in (Work.NONE, Work.RELEASED) and not self._desk.ours(job):
            return self._give(self._reap_pool, self._leave, job)
        if job.work is Work.LIVE:
            if pokes & {"output", "info"}:
                self._outputs.want(job.id)
                self._output_pool.give("outputs", self._outputs.bring)
            # A poke alone asks for no save; if the job is due as well it is listed again.
            event = next((one for one in ("event", "begin") if one in pokes), "")
            self._poller.look_at(job.id, due=not pokes, event=event)
            return True
        if pokes and pokes <= {"output", "info"}:
            return False  # somebody looks at it, which is no reason to try again sooner
        if job.work is Work.WANTED and lifecycle.awaited(job):
            given = self._give(self._input_pool, self._inputs.attend, job)
            if not given and job.id not in self._input_pool.under_way:
                # Left out of the next lists, or those of one owner would hide all others.
                self._set_aside(job.id)
            return given
        if job.work in (Work.WANTED, Work.STARTING):
            return self._give(self._submit_pool, self._submitter.attend, job)
        if job.work is Work.ENDED:
            return self._give(self._fetch_pool, self._fetcher.attend, job)
        return job.doomed and self._give(self._reap_pool, self._reaper.attend, job)

    def _give(self, pool: Pool, attend: Callable[[Job], None], job: Job) -> bool:
        whose = job.quota_key if pool is self._input_pool else ""
        return pool.give(job.id, partial(self._attend, attend, job.id), whose)

    def _attend(self, attend: Callable[[Job], None], job_id: str) -> None:
        with during(job=job_id):
            self._try(attend, job_id)

    def _try(self, attend: Callable[[Job], None], job_id: str) -> None:
        try:
            if not self._tenure.acting:
                return
            self._desk.folders.check()
            job = self._desk.fresh(job_id)  # it may have stood in line for long
            if job is not None:
                attend(job)
            self._desk.trouble.past(job_id)
        except (NotActing, UnknownJob):
            log.debug("is no longer ours to drive", extra=about(job=job_id))
        except Unavailable as error:
            log.warning("has to wait: %s", error.sentence, extra=about(job=job_id))
            self._penalise(job_id, error.sentence)
        except Exception:
            log.exception("could not be attended to", extra=about(job=job_id))
            self._penalise(job_id, UNFORESEEN)

    def _set_aside(self, job_id: str) -> None:
        with self._lock:
            self._penalties[job_id] = time.monotonic() + _PENALTY

    def _penalise(self, job_id: str, sentence: str) -> None:
        self._set_aside(job_id)
        self._desk.trouble.met(job_id, sentence)

    def _leave(self, job: Job) -> None:
        """Leave a job alone whose manager is no longer configured, and say so."""
        self._desk.abandon(job.manager)
        self._desk.change(job, lambda job: job, due=_ABANDONED)

    def _sweep(self) -> None:
        """Remove job folders that no row names and nobody has touched for a day, what has expired
        of accounts, and what is older in the audit than the site wants it to be."""

        def known(job_id: str) -> bool:
            return self._desk.fresh(job_id) is not None

        self._desk.folders.sweep(known, older_than=86400.0)
        now, settings = jobs.now(), self._desk.settings
        accounts = self._desk.storage.accounts()
        if accounts is not None:
            idle = timedelta(seconds=settings.session_idle)
            accounts.sweep(expired_before=now - _EXPIRED, idle_before=now - idle)
        if settings.audit_kept:
            Audit(self._desk.storage).forget(now - timedelta(seconds=settings.audit_kept))


def check_instance(data_dir: DataDir, storage: Storage) -> None:
    """Refuse to drive jobs from a copy: a restored back-up must not cancel production.

    Raises `ConfigError` if the data folder is not where its word was made or adopted, or if the
    storage belongs to another word. The first supervisor of a new storage writes the word there.
    """
    word = data_dir.instance.word
    stored = {record.data.get("word") for record in storage.records(INSTANCE_STREAM)}
    if not stored:
        storage.append(INSTANCE_STREAM, {"word": word}, key=INSTANCE_STREAM)
    elif word not in stored:
        raise ConfigError(
            f"the storage belongs to another installation than {data_dir.path}; point them at each"
            " other, or run `opus init --new-instance` if this is to be a copy"
        )
    check_home(data_dir)


def _settle(data_dir: DataDir) -> None:
    """A disk that is full stops no supervisor."""
    try:
        data_dir.settle()
    except OSError as error:
        log.warning(
            "where %s lies cannot be written down anew (%s); what was written there before counts",
            data_dir.path,
            error.strerror,
        )


def check_home(data_dir: DataDir) -> None:
    """The half of that for which no storage is asked."""
    if not data_dir.at_home():
        raise ConfigError(
            f"{data_dir.path} was copied or moved here; run `opus init --adopt` if it was moved,"
            " `opus init --new-instance` if it is a copy and the original goes on"
        )
