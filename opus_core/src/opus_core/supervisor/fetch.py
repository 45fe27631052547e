"""Bring home what an ended job has left, let the cluster forget it, and complete it."""

from __future__ import annotations

import logging
from dataclasses import replace

from opus_core import job as jobs
from opus_core import lifecycle
from opus_core.backends import Links, Task
from opus_core.definition import JobDefinition
from opus_core.errors import NotFound, OpusError, PluginError, ResultsLost, Unavailable
from opus_core.facts import about
from opus_core.job import Job, Phase, Result, Work
from opus_core.supervisor.desk import Desk, pause
from opus_core.supervisor.submit import ref_of

log = logging.getLogger(__name__)


class Fetcher:
    """ENDED -> RELEASED, as `protocol.md` section 4 has it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def attend(self, job: Job) -> None:
        """Take one job that is ENDED to RELEASED, or try again later, without end."""
        desk = self._desk
        if job.work is not Work.ENDED:
            return
        task = desk.task(job)
        try:
            links = self._stop_what_is_left(job, task)
            if links is None:
                return
            if not (job.doomed or job.results or job.phase is Phase.COMPLETED):
                job = self._fetch(job, task, links)
            desk.tenure.must()
            desk.manager.delete(task)
        except (Unavailable, PluginError) as error:
            self._try_again(job, error.sentence)
            return
        desk.change(job, lifecycle.released, due=0.0)
        desk.unsay(job, "waiting", "fetching")

    def _stop_what_is_left(self, job: Job, task: Task) -> Links | None:
        """Make sure that nothing of it runs or can begin; None if that needs another look.

        After a won seal the scheduler is told once more, when whatever was on its way to it must
        have arrived.
        """
        desk = self._desk
        links = desk.manager.peek([task])[task.ref.tag]
        if links.exit is not None:
            if links.exit.stopped:  # a scheduler that stopped it may have queued it again
                desk.tenure.must()
                desk.manager.abort(ref_of(job))
            return links
        desk.tenure.must()
        if not links.begun:
            links = desk.manager.seal(task)
        desk.manager.abort(ref_of(job))
        if links.begun or not desk.manager.visible_after:
            return links
        present = jobs.now()
        sealed = job.watch.sealed or present
        left = desk.manager.visible_after - (present - sealed).total_seconds()
        if left <= 0 and job.watch.sealed is not None:
            return links
        desk.change(
            job, lambda job: replace(job, watch=replace(job.watch, sealed=sealed)), due=left
        )
        return None

    def _fetch(self, job: Job, task: Task, links: Links) -> Job:
        """Bring everything home and save that it is there, before the cluster may forget it."""
        desk = self._desk
        results: tuple[Result, ...] = ()
        failure = ""
        if links.begun or links.exit is not None:
            definition, failure = self._definition(job)
            desk.tenure.must()
            lost = ""
            try:
                desk.manager.get_results(desk.task(job, definition))
            except ResultsLost as error:
                lost = f"its results cannot be fetched: {error.sentence}"
            if definition is not None:
                results, failure = self._collect(job, definition)
                self._note(job, definition, results)
            failure = lost or failure
        else:
            failure = "the job's folder has been removed; run it again"

        def rule(job: Job) -> Job:
            if failure and not job.phase.over:
                job = lifecycle.unfetchable(job, failure, now=jobs.now())
            return lifecycle.fetched(job, results, links.exit, now=jobs.now())

        if rule(job) == job:
            return job
        return desk.change(job, rule, due=0.0, exit_=links.exit)

    def _definition(self, job: Job) -> tuple[JobDefinition | None, str]:
        """What says which results there are; or why nobody can say that any more."""
        try:
            return self._desk.definition(job), ""
        except (Unavailable, PluginError):
            raise  # to be mended, and then the results can be had
        except OpusError as error:
            gone = "the job's description, which says what its results are, cannot be read any more"
            return None, f"{gone}: {error.sentence}"

    def _collect(self, job: Job, definition: JobDefinition) -> tuple[tuple[Result, ...], str]:
        """The job's results, and why it has failed, if one that has to be there is not."""
        collected = self._desk.folders.results(job, definition)
        if not collected.missing:
            return collected.results, ""
        names = ", ".join(collected.missing)
        return (
            collected.results,
            f"the script ended well but did not write what it has to: {names}",
        )

    def _note(self, job: Job, definition: JobDefinition, results: tuple[Result, ...]) -> None:
        try:
            self._desk.folders.note_results(job, definition, results, **self._desk.origin)
        except NotFound as error:
            # Its script can reach the file; that is no reason to keep its results from anybody.
            log.warning("its results cannot be noted: %s", error, extra=about(job=job.id))

    def _try_again(self, job: Job, reason: str) -> None:
        log.warning("cannot be fetched and released yet: %s", reason, extra=about(job=job.id))
        if not job.phase.over:
            self._desk.storage.note(job.id, {"fetching": f"fetching results: {reason}"})
        self._desk.change(
            job,
            lambda job: replace(job, watch=replace(job.watch, attempts=job.watch.attempts + 1)),
            due=lambda job: pause(job.watch.attempts - 1, first=1.0),
        )
