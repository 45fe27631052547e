"""The UWS tree of a job: the list, the job and its children (UWS 1.1 section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import bottle

from opus_core.errors import BadRequest, NotAllowed, NotFound
from opus_core.forms import Form
from opus_core.job import Job
from opus_core.queries import parse_wait
from opus_core.render import json, text, xml
from opus_core.render.negotiate import Format
from opus_core.routes import lists, pages
from opus_core.routes.asking import DOCUMENT, PAGE, Asked, check_id
from opus_core.routes.creation import changing, read_change, read_value
from opus_core.routes.output import tail
from opus_core.routes.reply import TEXT, document, reply, see_other

_AFTER_DELETE: Final = "?LAST=100"  # a list that may be long is not what the client asked for


# -- the list


def get_list(asked: Asked, name: str) -> bottle.HTTPResponse:
    """The jobs of a description that the user may see (UWS 1.1 section 2.2.2.1)."""
    withdrawn = asked.parts.catalogue.is_withdrawn(name)
    if asked.by_browser:
        return pages.job_list(asked, name, withdrawn=withdrawn)
    return _list(asked, asked.urls.jobs(name), name)


def get_lists(asked: Asked) -> bottle.HTTPResponse:
    """The same of all descriptions together, or of the one that NAME says."""
    if asked.by_browser:
        return pages.job_list(asked, None)
    name = asked.value("NAME") or None
    if name is not None:
        asked.parts.catalogue.is_withdrawn(name)  # which says if there is none of that name
    return _list(asked, asked.urls.jobs(None), name)


def _list(asked: Asked, url: str, name: str | None) -> bottle.HTTPResponse:
    wanted = asked.format(*DOCUMENT)
    listed = lists.read(asked, url, name)
    headers = {"Link": listed.link} if listed.link else {}
    write = json.jobs if wanted is Format.JSON else xml.jobs
    pieces = write(listed.rows, asked.urls)
    # With a length the connection can stay open; waitress closes it behind what has none.
    body = b"".join(pieces) if listed.whole else pieces
    return document(asked, wanted, body, headers=headers)


# -- the job


def get_job(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """The whole job; with WAIT, after its phase has changed (UWS 1.1 section 2.2.1.2)."""
    job = asked.job(name, job_id, parse_wait(asked.pairs))
    wanted = asked.format(*PAGE)
    if wanted is Format.HTML:
        return pages.job(asked, job)
    write = json.job if wanted is Format.JSON else xml.job
    return document(asked, wanted, write(job, asked.urls))


def post_job(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """ACTION=DELETE; or all that its children take, which the AIP client posts to the job."""
    return _change(asked, name, job_id)


def delete_job(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """303 to the list (UWS 1.1 section 2.2.3.2)."""
    asked.parts.service.delete(asked.user, name, check_id(job_id))
    return see_other(asked.ways.jobs(name) + _AFTER_DELETE)


def _change(asked: Asked, name: str, job_id: str, *needed: str) -> bottle.HTTPResponse:
    """Do what the form says, in an order that a later part cannot undo an earlier one.

    `needed`: the names one of which has to be there, for a child that is about nothing else.
    """
    job = asked.job(name, job_id)
    with changing(asked, job) as store:
        return _changed(asked, job, read_change(asked, job, store), needed)


def _changed(asked: Asked, job: Job, form: Form, needed: Sequence[str]) -> bottle.HTTPResponse:
    service, name = asked.parts.service, job.definition.name
    if not form.values and not form.uploads and not needed:
        raise BadRequest("the request says nothing; send PHASE, ACTION or parameters")
    names = {key.upper() for key, _ in form.values}
    if needed and not names.intersection(needed):
        raise BadRequest(f"{needed[0]} is missing; send it in a form")
    request = service.understand(job, form)
    controls = request.controls
    if controls.action == "DELETE":
        return delete_job(asked, name, job.id)
    if controls.run_id is not None and controls.run_id != job.run_id:
        raise NotAllowed("RUNID is given when a job is made, and stays")
    if request.inputs or request.uploads or request.options:
        service.set_parameters(asked.user, name, job.id, form)
    if controls.execution_duration is not None:
        service.set_execution_duration(asked.user, name, job.id, controls.execution_duration)
    if controls.destruction is not None:
        service.set_destruction(asked.user, name, job.id, controls.destruction)
    if controls.phase == "RUN":
        service.run(asked.user, name, job.id)
    if controls.phase == "ABORT":
        service.abort(asked.user, name, job.id)
    return see_other(asked.ways.job(name, job.id))


# -- its children


def get_phase(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """The phase, for the price of one row."""
    return _atom(asked.parts.service.summary(asked.user, name, check_id(job_id)).phase)


def post_phase(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """PHASE=RUN or ABORT."""
    return _change(asked, name, job_id, "PHASE")


def get_execution_duration(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """Whole seconds; 0: no limit."""
    return _atom(str(asked.job(name, job_id).execution_duration))


def post_execution_duration(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """EXECUTIONDURATION=n."""
    return _change(asked, name, job_id, "EXECUTIONDURATION")


def get_destruction(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """An instant; empty for never."""
    return _atom(text.instant(asked.job(name, job_id).destruction))


def post_destruction(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """DESTRUCTION=t."""
    return _change(asked, name, job_id, "DESTRUCTION")


def get_quote(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """An instant; empty where nothing is known."""
    return _atom(text.instant(asked.job(name, job_id).quote))


def get_owner(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """Empty for somebody anonymous."""
    return _atom(asked.job(name, job_id).owner or "")


def get_error(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """Why it failed, and the end of stderr; 404 if it did not (DALI 1.1 section 4.2)."""
    job = asked.job(name, job_id)
    if job.error is None:
        raise NotFound(f"job {job.id} has no error; it is {job.phase}")
    end = tail(asked, job, "stderr") if job.error.has_detail else ""
    return reply(text.error(job, end), TEXT)


def get_parameters(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """All parameters with their values."""
    job = asked.job(name, job_id)
    wanted = asked.format(*DOCUMENT)
    write = json.parameters if wanted is Format.JSON else xml.parameters
    return document(asked, wanted, write(job, asked.urls))


def post_parameters(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """New values for some parameters of a PENDING job."""
    return _change(asked, name, job_id)


def put_parameter(asked: Asked, name: str, job_id: str, parameter: str) -> bottle.HTTPResponse:
    """The body is the new value: a text, or for an input file its content."""
    service = asked.parts.service
    job = asked.job(name, job_id)
    entry = service.definition_of(job).find(parameter)
    if entry is None:
        raise NotFound(f"{name} has no parameter {parameter[:64]!r}")
    with changing(asked, job) as store:
        service.set_parameters(asked.user, name, job.id, read_value(asked, store, entry))
    return see_other(asked.ways.job(name, job.id))


def get_results(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """Links to the results; none before there are any."""
    job = asked.job(name, job_id)
    wanted = asked.format(*DOCUMENT)
    write = json.results if wanted is Format.JSON else xml.results
    return document(asked, wanted, write(job, asked.urls))


def _atom(value: str) -> bottle.HTTPResponse:
    return reply(value, TEXT)
