"""What this server can do and how it is, for the Virtual Observatory (VOSI) and for monitors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from email.utils import format_datetime
from typing import Final

import bottle

from opus_core import disk
from opus_core import job as jobs
from opus_core.backends import SUPERVISOR, Health, HealthState
from opus_core.errors import OpusError
from opus_core.render import json, xml
from opus_core.render.negotiate import Format
from opus_core.render.text import instant
from opus_core.routes.asking import DOCUMENT, Asked
from opus_core.routes.parts import Parts
from opus_core.routes.reply import JSON, XML, document, reply
from opus_core.values import without_paths

NO_SUPERVISOR: Final = "no supervisor is running; start `opus supervise`"
_SILENT: Final = timedelta(seconds=30)
_STATES: Final = tuple(HealthState)  # the worse the later

_UWS: Final = "ivo://ivoa.net/std/UWS#rest-1.1"  # UWS 1.1 section 2.2.1.1
_CAPABILITIES: Final = "ivo://ivoa.net/std/VOSI#capabilities"
_BASIC: Final = "ivo://ivoa.net/sso#BasicAA"  # SSO 2.0 section 2
_AVAILABILITY: Final = "ivo://ivoa.net/std/VOSI#availability"


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


def is_silent(supervisor: Health | None) -> bool:
    """Whether what a supervisor said last is so old that there must be none any more."""
    return supervisor is None or jobs.now() - supervisor.heartbeat > _SILENT


def full(parts: Parts) -> list[str]:
    """What there is no room for. Asked here, for whoever has no room cannot store that."""
    short = disk.short_of_room(parts.places)
    if not short:
        return []
    return [f"the disk is full, there is no room for {', '.join(short)}; changes have to wait"]


def get_capabilities(asked: Asked) -> bottle.HTTPResponse:
    """VOSI capabilities: a UWS for each description that takes jobs. For everybody, in XML."""
    parts, urls = asked.parts, asked.urls
    offers = [
        xml.Offer(
            standard=_CAPABILITIES, description="What this service can do", url=urls.capabilities()
        ),
        xml.Offer(
            standard=_AVAILABILITY, description="Whether it is available", url=urls.availability()
        ),
    ]
    methods: tuple[str, ...] = (_BASIC,) if parts.people is not None else ()
    if methods and parts.policy.anonymous:
        methods = ("", *methods)
    for name in parts.catalogue.names():
        if not parts.policy.shows(asked.user, name):
            continue
        offers += [
            xml.Offer(
                standard=_UWS,
                description=f"The jobs of {name}",
                url=urls.jobs(name),
                base=True,
                methods=methods,
            ),
            xml.Offer(
                description=f"Runs a job of {name} and answers its result",
                url=urls.sync(name),
                methods=methods,
            ),
        ]
    # A new release, which comes with a restart, may say something else.
    since = max(parts.up_since, parts.catalogue.changed() or parts.up_since)
    headers = {"Last-Modified": format_datetime(since, usegmt=True)}
    return reply(xml.capabilities(offers), XML, headers=headers)


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
    """200 as long as requests can be answered; 503 if the storage does not answer. `status` is
    the worst state of a component."""
    found = components(asked.parts)
    content = {
        "status": max((one.state for one in found.values()), key=_STATES.index),
        "version": asked.parts.version,
        "components": {
            name: {
                "state": one.state,
                "sentence": without_paths(one.sentence),
                "since": instant(one.since),
                "heartbeat": instant(one.heartbeat),
            }
            for name, one in sorted(found.items())
        },
    }
    return reply(json.dumps(content), JSON)


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
