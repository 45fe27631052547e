"""What a browser gets: the same content as the documents, at the same addresses."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import bottle

from opus_core.definition import JobDefinition
from opus_core.definitions import Published
from opus_core.errors import OpusError
from opus_core.facts import about
from opus_core.forms import Pairs
from opus_core.job import Job
from opus_core.render import html
from opus_core.render.api import chapters
from opus_core.render.form import fields, option_fields
from opus_core.routes import health
from opus_core.routes.asking import Asked
from opus_core.routes.reply import SAMP_HUB, page
from opus_core.texts import are_many

log = logging.getLogger(__name__)


def catalogue(asked: Asked, published: Sequence[Published]) -> bottle.HTTPResponse:
    """The front page."""
    around = frame(asked, notices=health.faults(asked.parts))
    announced = asked.parts.announcements.current()
    return page(
        asked, html.catalogue(around, [one.definition for one in published], announced=announced)
    )


def form(
    asked: Asked,
    published: Published,
    given: Pairs,
    *,
    fault: str = "",
    faults: Mapping[str, str] | None = None,
    lost: Sequence[str] = (),
    again: Job | None = None,
    status: int = 200,
) -> bottle.HTTPResponse:
    """A form for a new job; with a fault, as somebody filled it in."""
    if are_many(len(given), sum(len(value) for _, value in given)):
        asked.turn.take()
    definition = published.definition
    values = {key.upper(): value for key, value in given}
    service = asked.parts.service
    filled = html.Filled(
        fields=fields(definition, given, service.fetch_hosts, faults or {}),
        options=option_fields(service.run_options, definition, given, faults or {}),
        run_id=values.get("RUNID", ""),
        execution_duration=values.get("EXECUTIONDURATION", ""),
        fault=fault,
        lost=lost,
        again=again,
        most=asked.parts.limits.max_file,
    )
    text = html.form(frame(asked, notices=health.faults(asked.parts)), definition, filled)
    return page(asked, text, status=status)


def job_list(asked: Asked, name: str | None, *, withdrawn: bool = False) -> bottle.HTTPResponse:
    """The page of a job list, which reads the jobs by itself."""
    listing = html.Listing(
        name=name,
        names=[one.definition.name for one in shown(asked)] if name is None else (),
        withdrawn=withdrawn,
        unlisted=_is_unlisted(asked),
        seq=_seq(asked),
    )
    return page(asked, html.job_list(frame(asked, notices=health.faults(asked.parts)), listing))


def _seq(asked: Asked) -> int:
    """What `/changes` tells from there on is news to who reads this page."""
    return asked.parts.service.changes(asked.user, -1, 0).seq


def _is_unlisted(asked: Asked) -> bool:
    """Whether no list, and no news, tells the reader of their own jobs."""
    return asked.user.anonymous and not asked.parts.policy.anonymous_list


def shown(asked: Asked) -> list[Published]:
    """The descriptions that take jobs of this user."""
    policy, user = asked.parts.policy, asked.user
    every = asked.parts.catalogue.offered()
    return [one for one in every if policy.shows(user, one.definition.name)]


def job(asked: Asked, value: Job) -> bottle.HTTPResponse:
    """The page of a job, which reads what changes of it by itself."""
    parts, user = asked.parts, asked.user
    notices = health.faults(parts) if value.needs_supervisor else []
    told = value.owner == user.name and not _is_unlisted(asked)
    around = frame(asked, notices=notices)
    seq = _seq(asked) if told else None
    text = html.job(around, value, _definition(asked, value), seq, samp=parts.samp)
    return page(asked, text, asks=(SAMP_HUB,) if parts.samp else ())


def availability(asked: Asked, faults: Sequence[str], since: datetime) -> bottle.HTTPResponse:
    """Whether jobs are run."""
    return page(asked, html.availability(frame(asked), faults, since))


def api(asked: Asked, document: Mapping[str, Any]) -> bottle.HTTPResponse:
    """What can be asked of this server."""
    return page(asked, html.api(frame(asked), document["info"], chapters(document)))


def _definition(asked: Asked, value: Job) -> JobDefinition:
    """The description of a job; of an old one it may be in a format that is no longer installed,
    and then its job is shown without what it says."""
    try:
        return asked.parts.service.definition_of(value)
    except OpusError as error:
        log.warning(
            "is shown without its description: %s", error.sentence, extra=about(job=value.id)
        )
        return JobDefinition(name=value.definition.name)


def frame(asked: Asked, *, notices: Sequence[str] = ()) -> html.Frame:
    """What stands around a page."""
    return html.Frame(
        links=asked.links,
        title=asked.parts.title,
        version=asked.parts.version,
        user=asked.user.name,
        csrf=_csrf(asked),
        accounts=asked.parts.people is not None,
        admin=asked.parts.policy.is_admin(asked.user),
        describes=asked.parts.policy.describes(asked.user),
        services=bool(asked.parts.services),
        notices=notices,
    )


def _csrf(asked: Asked) -> str:
    people = asked.parts.people
    if people is None or asked.caller.session is None:
        return ""
    return people.sessions.csrf(asked.caller.cookie)
