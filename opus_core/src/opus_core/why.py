"""Why a job is as it is: one sentence from what it says itself, the supervisor, and the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from opus_core import job as jobs
from opus_core.backends import SUPERVISOR, Health, HealthState
from opus_core.job import Job, Phase, Work

NO_SUPERVISOR: Final = "no supervisor is running; start `opus supervise`"

_SILENT: Final = timedelta(seconds=30)
_CLUSTER: Final = "manager"  # the component of the manager that is configured


def is_silent(supervisor: Health | None) -> bool:
    """Whether what a supervisor said last is so old that there must be none any more."""
    return supervisor is None or jobs.now() - supervisor.heartbeat > _SILENT


def why(job: Job, health: Mapping[str, Health], *, manager: str) -> str:
    """The sentence; `health` of all components, `manager` is the name of the one configured."""
    if job.phase is Phase.PENDING and not job.needs_supervisor:
        return "nobody has asked for it to run yet"
    state = _state(job)
    if not job.needs_supervisor:
        return state
    for held_up in (_supervisor(health), _stranger(job, manager), _reason(job), _cluster(health)):
        if held_up:
            return f"{state}; {held_up}"
    return state


def _state(job: Job) -> str:
    """What has become of it so far."""
    cluster = f"the {job.manager} manager"
    if job.doomed:
        return "it has been deleted, and is being removed"
    if job.phase.over:
        ended = f"it ended at {_instant(job.ended)}"
        if job.error is not None:
            ended = f"{ended}: {job.error.message}"
        left = job.work not in (Work.NONE, Work.RELEASED)
        return f"{ended}; what is left of it is being removed" if left else ended
    if job.abort_requested:
        return "it is being aborted"
    if job.phase is Phase.HELD:
        return f"{cluster} holds it, until somebody releases it"
    if job.phase is Phase.SUSPENDED:
        return f"{cluster} has suspended it, and goes on with it by itself"
    if job.work is Work.ENDED:
        return "its script has ended, and its results are being fetched"
    if job.phase is Phase.EXECUTING:
        return f"it has been running since {_instant(job.started)}"
    if job.work is Work.LIVE:
        return f"it waits for its turn as {', '.join(job.native_ids)} of {cluster}"
    if job.work is Work.STARTING:
        return "it is being submitted"
    return "it is about to be submitted"


def _supervisor(health: Mapping[str, Health]) -> str:
    supervisor = health.get(SUPERVISOR)
    if is_silent(supervisor):
        return NO_SUPERVISOR
    down = supervisor is not None and supervisor.state is HealthState.DOWN
    return f"the supervisor: {supervisor.sentence}" if supervisor and down else ""


def _stranger(job: Job, manager: str) -> str:
    if job.manager == manager or job.work in (Work.NONE, Work.WANTED, Work.RELEASED):
        return ""
    return (
        f"the {job.manager} manager, which has it, is not configured; configure it until its jobs"
        " are over"
    )


def _reason(job: Job) -> str:
    waits = not job.phase.over and job.phase is not Phase.EXECUTING
    fetching = job.work is Work.ENDED
    said = job.job_info.get("fetching" if fetching else "waiting", "")
    return said if waits or fetching else ""


def _cluster(health: Mapping[str, Health]) -> str:
    cluster = health.get(_CLUSTER)
    return cluster.sentence if cluster and cluster.state is not HealthState.OK else ""


def _instant(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC" if instant else "a time that is not known"
