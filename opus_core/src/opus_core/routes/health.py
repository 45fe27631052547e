"""How this server is, and what keeps it from running jobs."""

from __future__ import annotations

from collections.abc import Mapping

from opus_core import disk
from opus_core import job as jobs
from opus_core.backends import SUPERVISOR, Health, HealthState
from opus_core.errors import OpusError
from opus_core.routes.parts import Parts
from opus_core.values import without_paths
from opus_core.why import NO_SUPERVISOR, is_silent

__all__ = ["NO_SUPERVISOR", "components", "faults", "full", "is_silent"]


def faults(parts: Parts) -> list[str]:
    """What keeps jobs from being run, a sentence each; empty if nothing does."""
    return [without_paths(sentence) for sentence in _faults(parts)]


def _faults(parts: Parts) -> list[str]:
    try:
        health = parts.storage.health()
    except OpusError as error:
        return [f"the storage does not answer: {error.sentence}"]
    said = []
    if is_silent(health.get(SUPERVISOR)):
        said.append(NO_SUPERVISOR)
    said += [
        f"{component}: {one.sentence}"
        for component, one in sorted(health.items())
        if one.state is HealthState.DOWN and (component != SUPERVISOR or not said)
    ]
    try:
        parts.service.folders.check()
    except OpusError as error:
        said.append(error.sentence)
    return [*said, *full(parts)]


def full(parts: Parts) -> list[str]:
    """What there is no room for. Asked here, for whoever has no room cannot store that."""
    short = disk.short_of_room(parts.places)
    if not short:
        return []
    return [f"the disk is full, there is no room for {', '.join(short)}; changes have to wait"]


def components(parts: Parts) -> Mapping[str, Health]:
    """How all is now; what a supervisor said that is gone does not count."""
    found = dict(parts.storage.health())
    if is_silent(supervisor := found.get(SUPERVISOR)):
        last = supervisor.heartbeat if supervisor else parts.up_since
        found[SUPERVISOR] = Health(
            state=HealthState.DOWN, sentence=NO_SUPERVISOR, since=last, heartbeat=last
        )
    now = jobs.now()
    for sentence in full(parts):
        found["disk"] = Health(state=HealthState.DOWN, sentence=sentence, since=now, heartbeat=now)
    return found
