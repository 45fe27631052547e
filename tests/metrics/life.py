"""The life of many jobs, by chance and within the rules, in a storage whose clock runs fast."""

from __future__ import annotations

import random
from dataclasses import replace

from opus_core.job import TRANSITIONS, DefinitionRef, Phase
from opus_core.testing.samples import DOOMED, a_job

DEFINITIONS = ("fit", "echo", 'a "strange" one\\')


class Life:
    """Each step is one thing that happens to one job."""

    def __init__(self, storage, seed):
        self.storage = storage
        self.chance = random.Random(seed)
        self.jobs = {}
        self.doomed = {}

    def go_on(self, steps=1):
        for _ in range(steps):
            self.storage.pass_time(self.chance.choice((0, 0, 0.5, 3, 40, 700, 20_000)))
            happens = self.chance.choices(
                (self._create, self._step, self._doom, self._remove), (3, 8, 1, 1)
            )[0]
            happens()

    def _create(self):
        phase = self.chance.choice((Phase.PENDING, Phase.QUEUED))
        definition = DefinitionRef(self.chance.choice(DEFINITIONS), self.chance.randint(1, 3))
        job = self.storage.add(a_job(phase=phase, definition=definition))
        self.jobs[job.id] = job

    def _step(self):
        if job := self._any(self.jobs):
            # Where nothing happens to a job any more, a save that changes no phase.
            steps = sorted(TRANSITIONS[job.phase]) or [job.phase]
            self._save(job, phase=self.chance.choice(steps))

    def _doom(self):
        if job := self._any(self.jobs):
            self._save(job, marks=DOOMED)
            self.doomed[job.id] = self.jobs.pop(job.id)

    def _remove(self):
        if job := self._any(self.doomed):
            self.storage.delete(job.id, expected=job.version)
            del self.doomed[job.id]

    def _any(self, jobs):
        return jobs[self.chance.choice(list(jobs))] if jobs else None

    def _save(self, job, **changes):
        saved = self.storage.save(replace(job, **changes), expected=job.version)
        self.jobs[job.id] = saved
