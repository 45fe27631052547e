"""What becomes of the jobs of an installation that was copied or moved: those of a copy are the
original's to run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from opus_core import job as jobs
from opus_core import lifecycle
from opus_core.backends import JobQuery, Storage
from opus_core.job import Job, Phase, Work


def submitted(storage: Storage) -> Iterator[Job]:
    """The jobs for which something was asked of the manager, and may still be kept there."""
    ids = [row.id for row in storage.get_list(JobQuery(phases=frozenset(Phase)))]
    ids += [live.id for live in storage.live()]  # doomed ones are not listed
    ids += [job.id for job in storage.todo(1_000_000)]
    for job_id in dict.fromkeys(ids):
        job = storage.read(job_id, doomed=True)
        if job.work not in (Work.NONE, Work.RELEASED):
            yield job


def disown_jobs(storage: Storage) -> int:
    """End every job that was run and is not over, without a word to the cluster; answers how
    many. A PENDING one is nobody's but this storage's, and stays.

    Only for a storage that no supervisor drives.
    """
    ended = 0
    for job in submitted(storage):
        after = replace(lifecycle.copied(job, now=jobs.now()), work=Work.RELEASED)
        for phase in lifecycle.way(job, after)[:-1]:
            job = storage.save(replace(job, phase=phase), expected=job.version, due=None)
        storage.save(after, expected=job.version)
        ended += 1
    return ended
