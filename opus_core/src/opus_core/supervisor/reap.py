"""Destroy jobs whose time has come, and remove what clients have deleted."""

from __future__ import annotations

import logging
from collections.abc import Callable

from opus_core import job as jobs
from opus_core import lifecycle
from opus_core.errors import Conflict, Unavailable, UnknownJob
from opus_core.facts import about
from opus_core.job import Job, Phase, Work
from opus_core.supervisor.desk import Desk
from opus_core.supervisor.tenure import NotActing

log = logging.getLogger(__name__)

_AT_ONCE = 200


class Reaper:
    """The end of jobs, as `protocol.md` section 5 has it: folder first, row last."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiting: set[str] = set()  # expired, but held up by the cluster

    def attend(self, job: Job) -> None:
        """Remove a doomed job that the cluster is done with; each step is safe twice."""
        if not job.doomed or job.work not in (Work.NONE, Work.RELEASED):
            return
        desk = self._desk
        desk.tenure.must()
        desk.folders.remove(job.id)
        try:
            desk.storage.delete(job.id, expected=job.version)
        except Conflict:
            log.debug("changed while it was removed; once more", extra=about(job=job.id))
        else:
            log.info("removed", extra=about(job=job.id))

    def destroy_expired(self) -> None:
        """Doom, or archive, all jobs past their destruction time."""
        desk = self._desk
        while True:
            # Those that wait for the cluster stay in front, and must not hide the others.
            asked = _AT_ONCE + len(self._waiting)
            expired = desk.storage.expired(asked)
            self._waiting &= {job_id for job_id, _ in expired}
            moved = False
            for job_id, version in expired:
                if not desk.tenure.acting:
                    return
                moved |= self._destroy(job_id, version)
            if not moved or len(expired) < asked:
                return

    def _destroy(self, job_id: str, version: int) -> bool:
        """Take one job a step further; False if that has to wait for somebody else."""
        desk = self._desk
        job = desk.fresh(job_id)
        if job is None or job.doomed or job.version != version:
            return False  # whoever changed it may have put its destruction off
        rule = self._archive if desk.settings.archive else self._doom
        after = rule(job)
        if after == job:
            self._waiting.add(job_id)  # it is being aborted or fetched; its turn comes after that
            return False
        try:
            last = _unless_put_off(job, rule)
            if after.phase is Phase.ARCHIVED:
                if not self._empty(job):
                    return False
                last = rule if job.results else last
            if desk.change(job, last, due=0).doomed:
                log.info("destroyed, since its time has come", extra=about(job=job_id))
        except (NotActing, UnknownJob):
            return False
        except Unavailable as error:
            log.warning("has to wait: %s", error.sentence, extra=about(job=job_id))
            self._waiting.add(job_id)
            return False
        except Exception:
            log.exception("could not be destroyed", extra=about(job=job_id))
            self._waiting.add(job_id)
            return False
        return True

    def _empty(self, job: Job) -> bool:
        """Remove the results of a job; False if its destruction was put off in time.

        First they are no longer offered, so that the record never names what is not there. Whoever
        puts its destruction off after that is too late.
        """
        desk = self._desk
        if job.results:
            emptied = desk.change(job, _unless_put_off(job, lifecycle.emptied), due=0)
            if emptied.results:
                return False
        desk.tenure.must()
        desk.folders.remove_results(job.id)
        return True

    def _doom(self, job: Job) -> Job:
        return lifecycle.doom(job, now=jobs.now())

    def _archive(self, job: Job) -> Job:
        return lifecycle.archive(job, now=jobs.now())


def _unless_put_off(given: Job, rule: Callable[[Job], Job]) -> Callable[[Job], Job]:
    """The rule for a job whose destruction is still at the same instant."""
    return lambda job: rule(job) if job.destruction == given.destruction else job
