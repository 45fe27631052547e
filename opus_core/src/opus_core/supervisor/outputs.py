"""Bring what running jobs have written so far, while somebody reads it; in one go for all."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from opus_core.backends import Task
from opus_core.errors import OpusError
from opus_core.facts import about
from opus_core.job import Job, Work
from opus_core.supervisor.desk import Desk

log = logging.getLogger(__name__)

_CYCLE: Final = 1.0  # [s] between two round trips
_INFO_INTERVAL: Final = 30.0  # [s] between two looks at the scheduler's record of one job


class Outputs:
    """Jobs whose output is being read. Whoever goes on reading asks again."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._wanted: dict[str, None] = {}
        self._next = 0.0
        self._informed: dict[str, float] = {}
        self._finishing = threading.Event()

    def want(self, job_id: str) -> None:
        """Somebody reads this one."""
        with self._lock:
            self._wanted[job_id] = None

    def finish(self) -> None:
        """Bring no more."""
        self._finishing.set()

    def bring(self) -> None:
        """Bring what is wanted, and what is asked for meanwhile; never by two threads at once."""
        while not self._finishing.wait(max(0.0, self._next - time.monotonic())):
            with self._lock:
                wanted, self._wanted = list(self._wanted), {}
            if not wanted:
                return
            self._next = time.monotonic() + _CYCLE
            self._bring(wanted)

    def _bring(self, job_ids: list[str]) -> None:
        desk = self._desk
        jobs = [job for job in map(desk.fresh, job_ids) if job and job.work is Work.LIVE]
        if not jobs or not desk.tenure.acting:
            return
        tasks = [desk.task(job) for job in jobs]
        try:
            desk.manager.get_output(tasks)
        except OpusError as error:
            log.warning("the output of %d jobs is not up to date: %s", len(jobs), error.sentence)
            return
        for job, task in zip(jobs, tasks, strict=True):
            self._inform(job, task)

    def _inform(self, job: Job, task: Task) -> None:
        """Note what the scheduler tells of it, now and then."""
        present = time.monotonic()
        if self._informed.get(job.id, 0.0) > present:
            return
        self._informed = {k: v for k, v in self._informed.items() if v > present}
        self._informed[job.id] = present + _INFO_INTERVAL
        try:
            info = self._desk.manager.get_info(task.ref)
        except OpusError as error:
            log.warning("nothing is told of it: %s", error.sentence, extra=about(job=job.id))
            return
        if info:
            self._desk.storage.note(job.id, info)
