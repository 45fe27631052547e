"""Hand wanted jobs to the manager, and find out what became of submissions nobody knows about."""

from __future__ import annotations

import logging
from collections.abc import Callable

from opus_core import job as jobs
from opus_core import lifecycle
from opus_core.backends import Ref, Task
from opus_core.definition import JobDefinition
from opus_core.errors import (
    BackendUnavailable,
    BadRequest,
    NotAllowed,
    NotFound,
    OpusError,
    StorageFull,
    SubmitDeferred,
    SubmitRejected,
    Unavailable,
    UnknownJob,
)
from opus_core.facts import about
from opus_core.job import Job, Work
from opus_core.supervisor.desk import Desk, pause
from opus_core.supervisor.tenure import NotActing
from opus_core.values import without_paths

log = logging.getLogger(__name__)

_DISK_PAUSE = 10.0  # [s]


class Submitter:
    """WANTED -> STARTING -> LIVE, as `protocol.md` section 3 has it.

    A process that sleeps between its last look and what it does then may make a folder, or a
    submission, of a job that another supervisor has removed meanwhile. Nobody else would ever look
    for these, so it takes them back: there was a row when it looked, and no job gets an id again.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def attend(self, job: Job) -> None:
        """Take one job that is WANTED or STARTING a step further."""
        if job.work is Work.WANTED:
            self._submit(job)
        elif job.work is Work.STARTING:
            self._resolve(job)

    def _submit(self, job: Job) -> None:
        desk = self._desk
        definition = self._definition(job)
        if definition is None:
            return
        if desk.disk_is_full():
            self._put_off(job, "the server's disk is full; waiting for space", _DISK_PAUSE)
            return
        desk.tenure.must()
        try:
            self._write_and_start(job, definition)
        except (NotActing, UnknownJob):
            if desk.fresh(job.id) is None:
                desk.folders.remove(job.id)
            raise

    def _write_and_start(self, job: Job, definition: JobDefinition) -> None:
        desk = self._desk
        try:
            desk.folders.write(job, definition, event=desk.event(job), **desk.origin)
        except StorageFull as error:
            self._put_off(job, error.sentence, _DISK_PAUSE)
            return
        except (BadRequest, NotFound) as error:
            self._reject(job, f"the job cannot be run: {error.sentence}")
            return
        except OSError as error:
            raise Unavailable(
                f"its folder cannot be written: {error.strerror}; the server's admin can mend that"
            ) from error
        self._start(job, definition)

    def _definition(self, job: Job) -> JobDefinition | None:
        """What the job is made from; None, and it is rejected, if that is gone for good."""
        try:
            return self._desk.definition(job)
        except Unavailable:
            raise
        except OpusError as error:
            self._reject(job, f"the job's description cannot be read any more: {error.sentence}")
            return None

    def _reject(self, job: Job, message: str) -> None:
        log.warning("%s", message, extra=about(job=job.id))
        message = without_paths(message)  # its owner reads it
        self._desk.change(job, lambda job: lifecycle.reject(job, message, now=jobs.now()), due=0.0)
        self._desk.unsay(job, "waiting")

    def _put_off(self, job: Job, reason: str, seconds: float) -> None:
        self._desk.storage.note(job.id, {"waiting": reason})
        self._desk.change(job, lambda job: job, due=seconds)

    def _start(self, job: Job, definition: JobDefinition) -> None:
        """Save STARTING, then call the manager, then save what it said."""
        desk = self._desk
        try:
            job = desk.change(job, lambda job: lifecycle.starting(job, now=jobs.now()), due=0.0)
        except NotAllowed:
            return  # aborted or deleted in between: nothing starts
        if job.abort_requested or job.doomed:
            return  # still STARTING, and due: it will be sealed
        task = desk.task(job, definition)
        desk.tenure.must()
        try:
            self._hand_over(job, task)
        except UnknownJob:
            self._take_back(task)
            raise

    def _hand_over(self, job: Job, task: Task) -> None:
        desk = self._desk
        try:
            native_id = desk.manager.start(task)
        except SubmitDeferred as error:
            desk.doubt.set()
            desk.storage.note(job.id, {"waiting": error.sentence})
            desk.change(
                job,
                lambda job: lifecycle.defer(job, now=jobs.now()),
                due=lambda job: pause(job.watch.attempts - 1),
            )
        except SubmitRejected as error:
            self._reject(job, f"the cluster refused the job: {error.sentence}")
        except BackendUnavailable as error:
            log.warning("submission is in doubt: %s", error.sentence, extra=about(job=job.id))
            desk.doubt.set()
            desk.storage.note(job.id, {"waiting": f"the cluster does not answer: {error.sentence}"})
            desk.change(job, lambda job: job, due=max(desk.manager.visible_after, 1.0))
        else:
            # The script has hardly begun: polls and events will tell.
            self._adopt(job, native_id, due=lambda job: 0.0 if job.marks else None)

    def _take_back(self, task: Task) -> None:
        log.warning("was removed while it was submitted, and is cancelled")
        try:
            self._desk.manager.abort(Ref(tag=task.ref.tag))
            self._desk.manager.delete(task)
        except Unavailable as error:
            log.warning("its submission ends by itself, without a folder: %s", error.sentence)

    def _adopt(
        self, job: Job, *native_ids: str, due: Callable[[Job], float | None] | float = 0.0
    ) -> None:
        """An id, once known, is never dropped, whatever has become of the job meanwhile."""
        saved = self._desk.change(job, lambda job: lifecycle.adopt(job, native_ids), due=due)
        self._desk.unsay(job, "waiting")
        log.info("submitted", extra=about(job=saved.id, native_id=",".join(saved.native_ids)))

    def _resolve(self, job: Job) -> None:
        """STARTING, and nobody knows whether the manager has it: look before trying again."""
        desk = self._desk
        task = desk.task(job)
        tag = task.ref.tag
        try:
            links = desk.manager.peek([task])[tag]
            if links.claimant is not None and links.claimed:
                self._adopt(job, desk.manager.native_id(links.claimant))
                return
            if job.abort_requested or job.doomed:
                desk.tenure.must()
                if not desk.manager.seal(task).begun:
                    desk.change(
                        job, lambda job: lifecycle.never_begun(job, now=jobs.now()), due=0.0
                    )
                    return
                links = desk.manager.peek([task])[tag]
                if links.claimant is not None:
                    self._adopt(job, desk.manager.native_id(links.claimant))
                    return
            found = desk.manager.find([tag])[tag]
        except BackendUnavailable as error:
            desk.storage.note(job.id, {"waiting": f"the cluster does not answer: {error.sentence}"})
            desk.change(job, lambda job: job, due=pause(0))
            return
        if found:
            self._adopt(job, *found)
        elif self._definitely_none(job):
            definition = self._definition(job)
            if definition is not None:
                self._start(job, definition)
        else:
            desk.change(
                job,
                lambda job: lifecycle.absent(job, now=jobs.now()),
                due=desk.manager.visible_after,
            )

    def _definitely_none(self, job: Job) -> bool:
        """Said twice, the second time after any submission of ours must have become visible."""
        first = job.watch.absent
        if first is None:
            return False
        return (jobs.now() - first).total_seconds() >= self._desk.manager.visible_after


def ref_of(job: Job) -> Ref:
    """The job's submission by its tag alone."""
    return Ref(tag=job.tag or "", submitted_at=job.submitted_at)
