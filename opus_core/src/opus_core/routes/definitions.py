"""Job descriptions: the catalogue, the form for a new job, and the description itself."""

from __future__ import annotations

import bottle

from opus_core.errors import CannotCarry, UnknownDefinition
from opus_core.job import Job
from opus_core.render import json
from opus_core.render.negotiate import Format
from opus_core.routes import files, pages
from opus_core.routes.asking import DOCUMENT, Asked
from opus_core.routes.reply import document, reply

_SUFFIX = ".json"


def get_catalogue(asked: Asked) -> bottle.HTTPResponse:
    """All descriptions that take jobs; a page, or JSON for a script."""
    every = pages.shown(asked)
    if asked.format(Format.HTML, Format.JSON) is Format.HTML:
        return pages.catalogue(asked, every)
    content = [
        {
            "name": one.definition.name,
            "number": one.ref.number,
            "description": one.definition.description,
            "jobs": asked.urls.jobs(one.definition.name),
            "jdl": asked.urls.jdl(one.definition.name),
        }
        for one in every
    ]
    return document(asked, Format.JSON, json.dumps({"definitions": content}))


def get_form(asked: Asked, name: str) -> bottle.HTTPResponse:
    """A form for a new job, filled in with what the query says."""
    asked.parts.policy.may_run(asked.user, name)
    published = asked.parts.catalogue.published(name)
    return pages.form(asked, published, asked.pairs)


def get_form_again(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """The same with the values of a job."""
    job = asked.job(name, job_id)
    asked.parts.policy.may_run(asked.user, name)
    published = asked.parts.catalogue.published(name)
    return pages.form(asked, published, _values(job), again=job)


def _values(job: Job) -> tuple[tuple[str, str], ...]:
    values = [(one.name, one.value) for one in job.parameters if one.upload is None or one.value]
    values += job.options.items()
    values.append(("EXECUTIONDURATION", str(job.execution_duration)))
    if job.run_id is not None:
        values.append(("RUNID", job.run_id))
    return tuple(values)


def get_jdl(asked: Asked, name: str) -> bottle.HTTPResponse:
    """The description in the format of this site, or in JSON."""
    catalogue, jdl = asked.parts.catalogue, asked.parts.jdl
    try:
        published, wanted = catalogue.published(name), asked.format(*DOCUMENT)
    except UnknownDefinition:
        if not name.endswith(_SUFFIX):
            raise
        published, wanted = catalogue.published(name.removesuffix(_SUFFIX)), Format.JSON
    if not asked.parts.policy.offers(asked.user, published.ref.name):
        asked.parts.policy.may_run(asked.user, published.ref.name)  # which says why not
    if wanted is Format.JSON or jdl is None:
        body = json.definition(published.definition, published.ref.number)
        return document(asked, Format.JSON, body)
    try:
        bundle = catalogue.export(published.ref, jdl)
    except CannotCarry:  # stored in another format, before the site changed to this one
        bundle = jdl.dumps(published.definition, lossy=True)
    return reply(bundle.data, files.media_type(jdl.media_type), headers={"Vary": "Accept"})
