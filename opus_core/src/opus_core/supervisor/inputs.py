"""Fetch the inputs that a job was given as URLs, before it is handed to the manager.

By threads of its own: a slow server far away holds up no job but those that ask it for something.
Nobody has more than two of them, and after each file it is the others' turn. What has arrived is
saved file by file, so that only the rest is fetched after a crash.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from opus_core import job as jobs
from opus_core import lifecycle
from opus_core.errors import NotAllowed, OpusError, StorageFull
from opus_core.facts import about
from opus_core.fetching import fetch
from opus_core.job import Job, Upload, Work
from opus_core.supervisor.desk import Desk, pause
from opus_core.supervisor.tenure import NotActing

log = logging.getLogger(__name__)

_TRIES = 5  # within about a minute, besides the time that they take
_DISK_PAUSE = 30.0  # [s]
_LOOK = 2.0  # [s] between two looks whether the job is still wanted


class Inputs:
    """WANTED, with inputs to be fetched -> WANTED, with all of them in the folder."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._finishing = threading.Event()

    def finish(self) -> None:
        """Break off what is being fetched; the next supervisor begins it afresh."""
        self._finishing.set()

    def attend(self, job: Job) -> None:
        """Fetch the next of what the job still waits for; it is due at once for the others."""
        awaited = lifecycle.awaited(job)
        if job.work is not Work.WANTED or not awaited:
            return
        try:
            job = self._arrived(job, awaited[0])
            if not lifecycle.awaited(job):
                self._desk.storage.note(job.id, {"waiting": ""})
        except NotAllowed as error:
            log.info("is not prepared any further: %s", error.sentence, extra=about(job=job.id))

    def _arrived(self, job: Job, url: str) -> Job:
        """The job with this input. Raises `NotAllowed` if it is not to be had, or to be waited
        for, which the job says then."""
        desk = self._desk
        if desk.disk_is_full():
            raise self._put_off(job, "the server's disk is full; waiting for space")
        desk.storage.note(job.id, {"waiting": f"fetching {url}"})
        try:
            upload = self._fetch(job, url)
        except _Unwanted:
            raise
        except StorageFull as error:
            raise self._put_off(job, error.sentence) from error
        except OpusError as error:
            raise self._failed(job, error) from error
        return desk.change(job, lambda job: lifecycle.arrived(job, url, upload), due=0.0)

    def _fetch(self, job: Job, url: str) -> Upload:
        desk = self._desk
        limits = desk.settings.fetch
        files = [one.upload for one in job.parameters if one.value and one.upload is not None]
        have = {one.sha256: one.size for one in files}
        left = replace(limits, max_bytes=limits.max_bytes - sum(have.values()))
        desk.tenure.must()
        wanted = self._wanted(job)
        with fetch(url, left, wanted=wanted) as found:
            return desk.folders.store(
                job.id,
                _while(wanted, found.chunks),
                name=found.name,
                media_type=found.media_type,
            )

    def _wanted(self, job: Job) -> Callable[[], None]:
        """What raises as soon as nobody waits for the job's inputs; cheap to call."""
        looked = time.monotonic()

        def look() -> None:
            nonlocal looked
            if self._finishing.is_set():
                raise NotActing
            self._desk.tenure.must()
            if time.monotonic() - looked > _LOOK:
                looked = time.monotonic()
                present = self._desk.fresh(job.id)
                if present is None or present.work is not Work.WANTED:
                    raise _Unwanted(f"job {job.id} has been aborted or deleted")

        return look

    def _failed(self, job: Job, error: OpusError) -> NotAllowed:
        """Try again later, or end the job."""
        desk = self._desk
        message = f"an input could not be fetched: {error.sentence}"
        log.warning("%s", message, extra=about(job=job.id))
        if error.transient and job.watch.attempts + 1 < _TRIES:
            desk.storage.note(job.id, {"waiting": f"{message}; trying again"})
            due = pause(job.watch.attempts)
            desk.change(job, lifecycle.not_arrived, due=due)
        else:
            desk.change(
                job,
                lambda job: lifecycle.reject(job, message, now=jobs.now(), again=error.transient),
                due=0.0,
            )
            desk.storage.note(job.id, {"waiting": ""})
        return NotAllowed(message)

    def _put_off(self, job: Job, reason: str) -> NotAllowed:
        self._desk.storage.note(job.id, {"waiting": reason})
        self._desk.change(job, lambda job: job, due=_DISK_PAUSE)
        return NotAllowed(reason)


def _while(wanted: Callable[[], None], chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        wanted()
        yield chunk


class _Unwanted(NotAllowed):
    """Nobody waits for it any more."""
