"""Jobs that the server cannot go on with: they say so themselves, and its health does."""

from __future__ import annotations

import logging
import threading
from typing import Final

from opus_core import job as jobs
from opus_core.backends import Health, HealthState, Storage
from opus_core.errors import OpusError, UnknownJob
from opus_core.facts import about
from opus_core.job import Job

log = logging.getLogger(__name__)

COMPONENT: Final = "jobs"
UNFORESEEN: Final = "the server cannot go on with it; its log has why"


class Trouble:
    """Remembers such jobs until they get on, or need nobody to drive them any more.

    It never raises what the storage does: there is trouble enough.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self._told: dict[str, str] = {}  # what each job was told
        self._said: tuple[HealthState | None, str] = (None, "")
        self._since = jobs.now()

    def met(self, job_id: str, sentence: str = UNFORESEEN) -> bool:
        """The job stays as it is for now, and this is why; it will be tried again. Answers
        whether that is news."""
        with self._lock:
            if self._told.get(job_id) == sentence:
                return False
            self._told[job_id] = sentence
        try:
            self._storage.note(job_id, {"waiting": sentence})
            self._say()
        except OpusError as error:
            log.warning("cannot be told that it waits: %s", error.sentence, extra=about(job=job_id))
        return True

    def past(self, job_id: str) -> None:
        """The job gets on, whether or not there was trouble."""
        with self._lock:
            if job_id not in self._told:
                return
            sentence = self._told.pop(job_id)
        try:
            job = self._read(job_id)
            # It may wait for something else by now, and say so.
            if job is not None and job.job_info.get("waiting") == sentence:
                self._storage.note(job_id, {"waiting": ""})
            self._say()
        except OpusError as error:
            log.warning(
                "cannot be told that it waits no more: %s", error.sentence, extra=about(job=job_id)
            )

    def review(self) -> None:
        """Forget jobs that nobody has to drive any more, and say how things are, to begin with
        in place of an earlier supervisor."""
        with self._lock:
            known = list(self._told)
        try:
            for job_id in known:
                job = self._read(job_id)
                if job is None or not job.needs_supervisor:
                    self.past(job_id)
            self._say()
        except OpusError as error:
            log.warning("health could not be told: %s", error.sentence)

    def _read(self, job_id: str) -> Job | None:
        try:
            return self._storage.read(job_id, doomed=True)
        except UnknownJob:
            return None

    def _say(self) -> None:
        with self._lock:
            state, sentence = HealthState.OK, "all jobs get on"
            if self._told:
                first, why = next(iter(self._told.items()))
                many = "1 job has" if len(self._told) == 1 else f"{len(self._told)} jobs have"
                state, sentence = HealthState.DEGRADED, f"{many} to wait, {first} first: {why}"
            if (state, sentence) == self._said:
                return
            present = jobs.now()
            if state is not self._said[0]:
                self._since = present
            health = Health(state=state, sentence=sentence, since=self._since, heartbeat=present)
            self._storage.set_health(COMPONENT, health)
            self._said = (state, sentence)
