"""What this server can do and how it is, for the Virtual Observatory (VOSI) and for monitors."""

from __future__ import annotations

from email.utils import format_datetime
from typing import Final

import bottle

from opus_core.backends import HealthState
from opus_core.render import json, xml
from opus_core.render.negotiate import Format
from opus_core.render.text import instant
from opus_core.routes import health, pages
from opus_core.routes.asking import PAGE, Asked
from opus_core.routes.reply import JSON, XML, document, reply
from opus_core.values import without_paths

_STATES: Final = tuple(HealthState)  # the worse the later

_UWS: Final = "ivo://ivoa.net/std/UWS#rest-1.1"  # UWS 1.1 section 2.2.1.1
_CAPABILITIES: Final = "ivo://ivoa.net/std/VOSI#capabilities"
_BASIC: Final = "ivo://ivoa.net/sso#BasicAA"  # SSO 2.0 section 2
_AVAILABILITY: Final = "ivo://ivoa.net/std/VOSI#availability"


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
    said = health.faults(asked.parts)
    wanted = asked.format(*PAGE)
    since = asked.parts.up_since
    if wanted is Format.HTML:
        return pages.availability(asked, said, since)
    if wanted is Format.JSON:
        body = json.dumps({"available": not said, "upSince": instant(since), "notes": said})
    else:
        body = xml.availability(available=not said, up_since=since, notes=said)
    return document(asked, wanted, body)


def get_health(asked: Asked) -> bottle.HTTPResponse:
    """200 as long as requests can be answered; 503 if the storage does not answer. `status` is
    the worst state of a component."""
    found = health.components(asked.parts)
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
