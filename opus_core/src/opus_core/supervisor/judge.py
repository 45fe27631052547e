"""What becomes of one LIVE job, by its folder and by what the scheduler says of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial

from opus_core import job as jobs
from opus_core import lifecycle
from opus_core.backends import Exit, Kind, Links, Ref, Status, Task
from opus_core.errors import BackendUnavailable, NotAllowed
from opus_core.facts import about
from opus_core.job import Job, Mark, Phase, Work
from opus_core.supervisor.desk import Desk

log = logging.getLogger(__name__)

_AGAIN = 5.0  # [s] after which an abort that has shown no effect is repeated

Rule = Callable[[Job], Job]
Statuses = dict[str | None, Status]
"""What the scheduler says of a job's submissions, by native id; empty if it was not asked."""

# The same news of several submissions under one tag: the liveliest counts.
_LIVELY = (
    Kind.RUNNING,
    Kind.SUSPENDED,
    Kind.QUEUED,
    Kind.HELD,
    Kind.UNRECOGNISED,
    Kind.ENDED,
    Kind.GONE,
)


WAITING = (Kind.QUEUED, Kind.HELD, Kind.SUSPENDED)
"""In these a scheduler may say why."""


class Judge:
    """Acts on the cluster where that is needed, and then saves the job once, if at all."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def needs_status(self, job: Job, links: Links, *, event: str = "") -> bool:
        """The folder alone may not tell: the job is to be stopped, or waited long enough, or
        something has happened (`begin` or `event`, as pokes say) that is not seen there."""
        if links.exit is not None:
            return links.exit.stopped and not job.marks
        if event == "event" or (event and not links.begun):
            return True
        first = job.watch.gone or job.watch.over
        return bool(job.marks) or (first is not None and self._left(job) <= 0)

    def judge(
        self,
        job: Job,
        links: Links,
        statuses: Mapping[str | None, Status],
        task: Task,
        *,
        due: bool,
    ) -> Job:
        """Take one step and answer the job; one that is `due` is saved whatever comes of it."""
        desk = self._desk
        rules: list[Rule] = []
        if links.claimant is not None and links.claimed:
            winner = desk.manager.native_id(links.claimant)
            rules.append(self._stop_others(job, winner))
            status = statuses.get(winner)
        else:
            status = _liveliest(statuses)
        if links.exit is None:
            rules += self._act(job, links, status, task)
        else:
            rules.append(self._exited(links.exit, status))

        def rule(job: Job) -> Job:
            for one in rules:
                job = one(job)
            return job

        saved = job
        if due or rule(job) != job:
            saved = desk.change(job, rule, due=self._due, exit_=links.exit)
        waiting = _waiting(saved, status)
        if waiting is not None and waiting != job.job_info.get("waiting", ""):
            desk.storage.note(job.id, {"waiting": waiting})
        if saved.phase is not Phase.HELD:
            desk.unsay(job, "resume")
        return saved

    def _exited(self, exit_: Exit, status: Status | None) -> Rule:
        policy, present = self._desk.settings.policy, jobs.now()
        return lambda job: lifecycle.exited(job, exit_, status, policy, now=present)

    def _act(self, job: Job, links: Links, status: Status | None, task: Task) -> list[Rule]:
        """Do what the job's marks ask for, and say what becomes of it."""
        present = jobs.now()
        rules: list[Rule] = []
        if links.begun and job.started is None:
            rules.append(partial(lifecycle.begun, instant=present, now=present))
        if status is None or status.kind not in (Kind.ENDED, Kind.GONE):
            rules += self._abort(job)
        if status is None:
            return rules
        if status.kind is Kind.GONE:
            return [*rules, self._gone(job, status, task)]
        if status.kind is Kind.ENDED:
            return [*rules, self._over(job, links, status, task)]
        if status.kind is Kind.HELD and Mark.RESUME_REQUESTED in job.marks:
            self._resume(job)
            rules.append(lifecycle.resumed)
        return [*rules, lambda job: lifecycle.report(job, status, now=present)]

    def _stop_others(self, job: Job, winner: str) -> Rule:
        """Once the claim names one of several submissions, the others are told to leave."""
        losers = [one for one in job.native_ids if one != winner]
        if not losers:
            return partial(lifecycle.claimed, native_id=winner)
        log.warning(
            "was submitted %d times; stopping %s", len(losers) + 1, losers, extra=about(job=job.id)
        )
        self._desk.tenure.must()
        try:
            for native_id in losers:
                self._desk.manager.abort(replace(refs_of(job)[0], native_id=native_id))
        except BackendUnavailable as error:
            # They leave by themselves as well, and must not hold up the one that counts.
            log.warning(
                "the others could not be stopped: %s", error.sentence, extra=about(job=job.id)
            )
            return lambda job: lifecycle.adopt(job, [winner])
        return partial(lifecycle.claimed, native_id=winner)

    def _abort(self, job: Job) -> list[Rule]:
        """Stop it if that is wanted, and again after a while, until it is seen to be over."""
        if not (job.abort_requested or job.doomed):
            return []
        present = jobs.now()
        last = job.watch.aborted
        if last is not None and present - last < timedelta(seconds=_AGAIN):
            return []
        self._desk.tenure.must()
        for ref in refs_of(job):
            self._desk.manager.abort(ref)
        return [partial(lifecycle.aborting, now=present)]

    def _over(self, job: Job, links: Links, status: Status, task: Task) -> Rule:
        """The scheduler says that it is over. What has not begun is sealed before that is said of
        the job, for a submission that nobody knows of may still arrive."""
        desk, present = self._desk, jobs.now()

        def rule(job: Job) -> Job:
            return lifecycle.ended_by_scheduler(job, status, desk.settings.policy, now=present)

        if links.begun or rule(job).work is Work.LIVE:
            return rule
        desk.tenure.must()
        # One that was faster than the seal has the claim by now, and is what the job is.
        return (lambda job: job) if desk.manager.seal(task).begun else rule

    def _resume(self, job: Job) -> None:
        """Pass the wish on. Where that is for others to grant the job says so, and goes on being
        held."""
        self._desk.tenure.must()
        try:
            for ref in refs_of(job):
                self._desk.manager.resume(ref)
        except NotAllowed as error:
            log.info("is not released: %s", error.sentence, extra=about(job=job.id))
            self._desk.storage.note(job.id, {"resume": error.sentence})
        else:
            self._desk.unsay(job, "resume")

    def _gone(self, job: Job, status: Status, task: Task) -> Rule:
        """Neither the scheduler nor its history knows it: wait a grace time, seal, then say so."""
        desk, present = self._desk, jobs.now()
        if job.watch.gone is None or self._left(job) > 0:
            return lambda job: lifecycle.report(job, status, now=present)
        desk.tenure.must()
        begun = desk.manager.seal(task).begun
        if begun:
            desk.manager.abort(Ref(tag=job.tag or "", submitted_at=job.submitted_at))
        asked = f"the {desk.manager.name} manager and the job's folder"
        return lambda job: lifecycle.lost(job, asked, begun=begun, now=present)

    # -- when to look again

    def _left(self, job: Job) -> float:
        """How long an exit, or the scheduler's word, may still be late [s]; 0 or less: no more."""
        first = job.watch.gone or job.watch.over or jobs.now()
        grace = self._desk.settings.policy.grace
        if job.watch.gone is not None:
            # Nobody waits for the end of a job that is to be stopped.
            unwanted = job.abort_requested or job.doomed
            grace = max(0.0 if unwanted else grace, self._desk.manager.visible_after)
        return grace - (jobs.now() - first).total_seconds()

    def _due(self, job: Job) -> float | None:
        """A job that only runs is looked at by polls and events; one in doubt also by the clock,
        less often the longer that lasts."""
        if job.work is not Work.LIVE:
            return 0.0
        if job.marks:
            return 1.0 if job.watch.attempts < 2 else _AGAIN
        first = job.watch.gone or job.watch.over
        if first is None:
            return None
        left = self._left(job)
        waited = (jobs.now() - first).total_seconds()
        if left > 0:
            return min(max(1.0, waited / 2), left)
        return min(max(0.05, waited / 2), _AGAIN)


def _waiting(job: Job, status: Status | None) -> str | None:
    """Why the job does not run, for its owner; None if that is not known better than before."""
    if status is not None and status.kind in WAITING:
        return status.reason
    return "" if job.phase is Phase.EXECUTING else None


def refs_of(job: Job) -> list[Ref]:
    """Every submission of the job that is known."""
    tag = job.tag or ""
    ids: tuple[str | None, ...] = job.native_ids or (None,)
    return [Ref(tag=tag, native_id=one, submitted_at=job.submitted_at) for one in ids]


def _liveliest(statuses: Mapping[str | None, Status]) -> Status | None:
    return min(statuses.values(), key=lambda one: _LIVELY.index(one.kind), default=None)
