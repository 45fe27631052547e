"""How this server is: VOSI availability for the Virtual Observatory, a short word for monitors."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import bottle

from opus_core import job as jobs
from opus_core.backends import SUPERVISOR, HealthState
from opus_core.errors import OpusError
from opus_core.render import json, xml
from opus_core.render.negotiate import Format
from opus_core.render.text import instant
from opus_core.routes.asking import DOCUMENT, Asked
from opus_core.routes.parts import Parts
from opus_core.routes.reply import JSON, document, reply

NO_SUPERVISOR: Final = "no supervisor is running; start `opus supervise`"
_SILENT: Final = timedelta(seconds=30)


def faults(parts: Parts) -> list[str]:
    """What keeps jobs from being run, a sentence each; empty if nothing does."""
    try:
        health = parts.storage.health()
    except OpusError as error:
        return [f"the storage does not answer: {error.sentence}"]
    said = []
    supervisor = health.get(SUPERVISOR)
    if supervisor is None or jobs.now() - supervisor.heartbeat > _SILENT:
        said.append(NO_SUPERVISOR)
    said += [
        f"{component}: {one.sentence}"
        for component, one in sorted(health.items())
        if one.state is HealthState.DOWN and (component != SUPERVISOR or not said)
    ]
    return said


def get_availability(asked: Asked) -> bottle.HTTPResponse:
    """VOSI availability; 200 also for a service that is not available."""
    said = faults(asked.parts)
    wanted = asked.format(*DOCUMENT)
    since = asked.parts.up_since
    if wanted is Format.JSON:
        body = json.dumps({"available": not said, "upSince": instant(since), "notes": said})
    else:
        body = xml.availability(available=not said, up_since=since, notes=said)
    return document(asked, wanted, body)


def get_health(asked: Asked) -> bottle.HTTPResponse:
    """200 as long as requests can be answered; 503 if the storage does not answer."""
    health = asked.parts.storage.health()
    components = {
        name: {
            "state": one.state,
            "sentence": one.sentence,
            "since": instant(one.since),
            "heartbeat": instant(one.heartbeat),
        }
        for name, one in sorted(health.items())
    }
    return reply(
        json.dumps({"status": "ok", "version": asked.parts.version, "components": components}), JSON
    )
