"""The pages. What a user or a job wrote is always text to them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import jinja2

from opus_core.announcements import Announcement
from opus_core.definition import JobDefinition
from opus_core.job import Job, Phase
from opus_core.render import assets, text
from opus_core.render.api import Chapter
from opus_core.render.form import Field
from opus_core.render.urls import Urls

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# They turn round what stands after them; text of a script that runs right to left needs none.
_TURNING: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_SAYINGS: Final = {
    Phase.PENDING: "not started; run it when you like",
    Phase.QUEUED: "waiting for its turn",
    Phase.EXECUTING: "running",
    Phase.COMPLETED: "done",
    Phase.ERROR: "failed",
    Phase.ABORTED: "stopped before its end",
    Phase.UNKNOWN: "its state is not known now",
    Phase.HELD: "held back by the cluster",
    Phase.SUSPENDED: "paused by the cluster; it goes on by itself",
    Phase.ARCHIVED: "kept as a record; its results are gone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What every page shows around its content."""

    links: Urls
    title: str
    version: str
    user: str | None = None
    csrf: str = ""  # the word of a browser's session against CSRF; none: there is no session
    accounts: bool = False  # somebody can sign in here
    admin: bool = False
    describes: bool = False  # may work on descriptions
    services: bool = False  # there are pages about services elsewhere
    alone: bool = False  # and no others
    notices: Sequence[str] = ()  # what keeps this server from running jobs


def catalogue(
    frame: Frame, definitions: Sequence[JobDefinition], *, announced: Announcement | None = None
) -> str:
    """All descriptions, each with its form and its jobs."""
    return render("catalogue.html", frame, definitions=definitions, announced=announced)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A form for a new job, and what was filled in before."""

    fields: Sequence[Field]
    options: Sequence[Field]
    run_id: str = ""
    execution_duration: str = ""
    fault: str = ""  # why what was sent makes no job
    lost: Sequence[str] = ()  # has to be given once more
    again: Job | None = None  # whose values they are
    most: int = 0  # [byte] of a file

    @property
    def wrong(self) -> list[Field]:
        """The fields that something is wrong with."""
        return [one for one in (*self.fields, *self.options) if one.fault]


def form(frame: Frame, definition: JobDefinition, filled: Filled) -> str:
    """A form for a new job."""
    return render("form.html", frame, definition=definition, form=filled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the page of a job list is told; the jobs it reads by itself, from the UWS."""

    name: str | None  # of the description; None: all of them
    names: Sequence[str] = ()  # of the descriptions there are, for a list of all
    withdrawn: bool = False
    unlisted: bool = False  # the reader's jobs are not listed, for want of a name
    seq: int = 0  # what `/changes` tells from there on is news


def job_list(frame: Frame, listing: Listing) -> str:
    """The page of a job list."""
    return render("list.html", frame, listing=listing, phases=list(Phase))


def job(
    frame: Frame, value: Job, definition: JobDefinition, seq: int | None, *, samp: bool = False
) -> str:
    """The page of a job; what `/changes` tells from `seq` on is news. None: it tells the reader
    nothing of this job. `samp`: results can be sent to programs of the reader's."""
    return render(
        "job.html",
        frame,
        job=value,
        phase=value.phase,
        definition=definition,
        seq=seq,
        samp=samp,
    )


def availability(frame: Frame, faults: Sequence[str], since: datetime) -> str:
    """Whether jobs are run, and what keeps them from it."""
    return render("availability.html", frame, faults=faults, since=since)


def api(frame: Frame, info: Mapping[str, Any], chapters: Sequence[Chapter]) -> str:
    """What can be asked of this server."""
    return render("api.html", frame, info=info, chapters=chapters)


def error(frame: Frame, *, status: int, sentence: str, trace: str = "", sign_in: str = "") -> str:
    """What went wrong, and the way out; `sign_in`: the address for whoever has to do that."""
    return render(
        "error.html",
        frame,
        status=status,
        reason=HTTPStatus(status).phrase,
        sentence=sentence,
        trace=trace,
        sign_in=sign_in,
    )


def render(template: str, frame: Frame, **values: object) -> str:
    """A page of ours."""
    return _environment().get_template(template).render(frame=frame, urls=frame.links, **values)


def part(template: str, **values: object) -> str:
    """A part of a page of ours, without what stands around it."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("opus_core.render"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        instant=text.instant,
        moment=_moment,
        span=_span,
        visible=_visible,
    )
    environment.globals.update(stamp=assets.stamp(), sayings=_SAYINGS)
    return environment


def _moment(value: datetime) -> str:
    """An instant for people, to the second; every page says that it is in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _span(value: timedelta | int) -> str:
    """A length of time for people, in its two largest units."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    whole = int(seconds)
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    parts: list[str] = []
    for length, unit in units:
        number, whole = divmod(whole, length)
        if number or parts:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])


def _visible(value: str) -> str:
    """Control characters by their pictures, so that they are seen and do nothing."""
    pictured = _CONTROL.sub(
        lambda match: "\u2421" if match[0] == "\x7f" else chr(0x2400 + ord(match[0])), value
    )
    return _TURNING.sub("\N{REPLACEMENT CHARACTER}", pictured)
