"""What every part of the supervisor works with: the back ends, and the one way to save a job."""

from __future__ import annotations

import logging
import shutil
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import TypedDict

from opus_core import job as jobs
from opus_core import lifecycle
from opus_core.backends import Event, Health, HealthState, Manager, Storage, Task
from opus_core.datadir import DataDir
from opus_core.definition import JobDefinition
from opus_core.definitions import Catalogue
from opus_core.errors import Conflict, UnknownJob
from opus_core.facts import about
from opus_core.fetching import Fetch
from opus_core.folder import Folders
from opus_core.job import DefinitionRef, Job, Phase
from opus_core.links import Exit
from opus_core.supervisor.tenure import NotActing, Tenure
from opus_core.supervisor.trouble import Trouble

log = logging.getLogger(__name__)

_TRIES = 50

# [s] between tries: twice as long after each failure, at most five minutes.
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0


def _log_phase(job: Job, exit_: Exit | None) -> None:
    if not job.phase.over or job.phase is Phase.ARCHIVED:
        facts = about(job=job.id, phase=job.phase, work=job.work)
        log.info("has come to a new phase", extra=facts)
        return
    ran = job.ended - job.started if job.ended and job.started else None
    facts = about(
        job=job.id,
        phase=job.phase,
        seconds=None if ran is None else ran.total_seconds(),
        exit_code=None if exit_ is None else exit_.code,
        signal=None if exit_ is None else exit_.signal,
        reason=None if job.error is None else job.error.message,
    )
    log.info("is over", extra=facts)


def pause(attempts: int, first: float = _FIRST_PAUSE) -> float:
    """How long to wait after so many failures in a row [s]."""
    return min(first * 2.0 ** min(attempts, 16), _LONGEST_PAUSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a site decides about supervising."""

    policy: lifecycle.Policy = field(default_factory=lifecycle.Policy)
    poll_interval: float | None = None  # [s]; None: the manager's own
    event_interval: float = 0.0  # [s] between two questions that events ask for
    min_free: int = 0  # [byte] below which nothing is submitted
    archive: bool = False
    event_url: str | None = None
    lease_seconds: float = 15.0
    session_idle: float = 4 * 3600.0  # [s] after which a browser's session is over
    audit_kept: float = 0.0  # [s] that the record of who did what is kept; 0: for good
    fetch: Fetch = field(default_factory=Fetch)  # of inputs that are given as URLs


class Origin(TypedDict):
    """Keywords of `Folders.write` and `Folders.note_results`."""

    host: str
    backends: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The supervisor's tools, shared by its threads."""

    storage: Storage
    manager: Manager
    catalogue: Catalogue
    folders: Folders
    data_dir: DataDir
    tenure: Tenure
    settings: Settings
    trouble: Trouble
    changed: Callable[[str], None]  # told the id of every job that was saved
    doubt: threading.Event = field(default_factory=threading.Event)  # that the manager answers
    unread: set[DefinitionRef] = field(default_factory=set)  # and the log says so

    def change(
        self,
        job: Job,
        rule: Callable[[Job], Job],
        *,
        due: float | Callable[[Job], float | None] | None,
        exit_: Exit | None = None,
    ) -> Job:
        """Apply a rule to a job and save it, reading it again whenever somebody was faster.

        Saved even if nothing changed, so that `due` counts: what is not saved is listed again at
        once. Whoever was faster may want something that this rule does not know of, so the job is
        then due at once, too. A change that skips phases is saved step by step, for whoever
        follows the journal. `exit_` is how its script ended, for the log. Raises `NotActing` if
        another supervisor has a newer lease, `UnknownJob` if it is gone.
        """
        given = job
        for _ in range(_TRIES):
            epoch = self.tenure.epoch
            after = rule(job)
            when = due(after) if callable(due) else due
            if job is not given:
                when = 0.0
            try:
                passed = [job]
                for phase in lifecycle.way(job, after)[:-1]:
                    started = after.started if phase is Phase.EXECUTING else passed[-1].started
                    step = replace(passed[-1], phase=phase, started=started)
                    version = passed[-1].version
                    passed.append(self.storage.save(step, expected=version, epoch=epoch, due=0.0))
                saved = self.storage.save(after, expected=passed[-1].version, epoch=epoch, due=when)
            except Conflict:
                job = self.storage.read(job.id, doomed=True)
                if job.version == passed[-1].version:  # so it was the epoch
                    self.tenure.lapse()
                    raise NotActing from None
                continue
            for before, now in pairwise((*passed, saved)):
                if now.phase is not before.phase:
                    _log_phase(now, exit_)
            self.changed(saved.id)
            return saved
        raise Conflict(f"job {job.id} is being changed by others all the time")

    def unsay(self, job: Job, *keys: str) -> None:
        """Remove what was noted of the job and is no longer so; a write only if there is any."""
        if any(job.job_info.get(key) for key in keys):
            self.storage.note(job.id, dict.fromkeys(keys, ""))

    def fresh(self, job_id: str) -> Job | None:
        """The job as stored now, doomed or not; None if its row is gone."""
        try:
            return self.storage.read(job_id, doomed=True)
        except UnknownJob:
            return None

    def definition(self, job: Job) -> JobDefinition:
        """The description the job was made from, as it was then."""
        return self.catalogue.read(job.definition)

    def event(self, job: Job) -> Event | None:
        """Where the job's wrapper reports; None if nothing of ours can be reached from there."""
        if self.settings.event_url is None or job.tag is None:
            return None
        return Event(url=self.settings.event_url, token=self.data_dir.event_token(job.tag))

    def task(self, job: Job, definition: JobDefinition | None = None) -> Task:
        """All a manager needs of the job, which was made from `definition`.

        Where that is not given and cannot be read, its name stands in for it: whatever has become
        of it, the job can be looked at, stopped and forgotten. To start it or to fetch its results
        takes the description itself.
        """
        if definition is None:
            definition = self._definition_or_name(job)
        return self.folders.task(job, definition, event=self.event(job))

    def _definition_or_name(self, job: Job) -> JobDefinition:
        name, number = job.definition.name, job.definition.number
        try:
            return self.definition(job)
        except Exception as error:
            if job.definition not in self.unread:
                self.unread.add(job.definition)
                log.error(
                    "its jobs go on without it: %s",
                    error,
                    extra=about(definition=f"{name}/{number}"),
                )
            return JobDefinition(name=name)

    @property
    def origin(self) -> Origin:
        """What job.json says of where a job was run from."""
        backends = {"storage": self.storage.name, "manager": self.manager.name}
        return {"host": socket.gethostname(), "backends": backends}

    def ours(self, job: Job) -> bool:
        """The job is the configured manager's; another's waits until that one is back."""
        return job.manager in ("", self.manager.name)

    def abandon(self, manager: str) -> None:
        """Say that the jobs of a manager that is not configured any more are left alone."""
        sentence = f"jobs of the {manager} manager wait; configure it until they are over"
        known = self.storage.health().get(f"manager {manager}")
        since = known.since if known and known.state is HealthState.DOWN else jobs.now()
        self.say(f"manager {manager}", HealthState.DOWN, sentence, since)

    def disk_is_full(self) -> bool:
        """Less than the configured space is left where job folders lie, or will lie."""
        folder = self.folders.root.absolute()
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free < self.settings.min_free

    def say(self, component: str, state: HealthState, sentence: str, since: datetime) -> None:
        """Tell how a component is."""
        health = Health(state=state, sentence=sentence, since=since, heartbeat=jobs.now())
        self.storage.set_health(component, health)
