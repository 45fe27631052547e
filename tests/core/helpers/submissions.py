"""What `start` may answer, and what a killed supervisor leaves behind."""

from __future__ import annotations

from core.helpers.site import Site
from opus_core import lifecycle
from opus_core.errors import BackendUnavailable
from opus_core.job import Job, now

LOST = BackendUnavailable("no answer within 10 s")


def answers(site: Site, *outcomes: Exception | str) -> None:
    """What successive calls of `start` do: raise an error; `lost`: submit and then raise; `ok`:
    submit. The last one goes on."""
    left = list(outcomes)

    def fault(task, submit):
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, Exception):
            raise outcome
        native_id = submit()
        if outcome == "lost":
            raise LOST
        return native_id

    site.cluster.fault = fault


def starting(site: Site, script: str = "exit 0") -> Job:
    """A job as it is found when the supervisor was killed after STARTING was saved."""
    job = site.job(script, run=False)
    wanted = lifecycle.run(job, now=now(), tag=site.tag(job.id), can_resume=False)
    site.folders.write(
        wanted, site.catalogue.read(job.definition), event=None, host="here", backends={}
    )
    return site.storage.save(lifecycle.starting(wanted, now=now()), expected=1)
