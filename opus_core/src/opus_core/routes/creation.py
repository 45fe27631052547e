"""New jobs, and what requests about jobs carry in their bodies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import bottle

from opus_core import job as jobs
from opus_core import validation
from opus_core.bodies import Body
from opus_core.definition import (
    JobDefinition,
    ParameterDescription,
    ParameterType,
    UsedDescription,
)
from opus_core.definitions import Published
from opus_core.errors import BadInput, BadRequest, JobExists, NotAllowed, OpusError
from opus_core.forms import Form, Meaning, Meanings, Values, read_form
from opus_core.job import Job, Phase, Upload
from opus_core.routes import pages
from opus_core.routes.asking import Asked
from opus_core.routes.reply import see_other
from opus_core.service import uploads_of
from opus_core.texts import LongText, Store, Text, Texts

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


def create(asked: Asked, name: str) -> bottle.HTTPResponse:
    """POST to the job list: 303 to the new job (UWS 1.1 section 2.2.3.1)."""
    published = admitted(asked, name)
    made = make(asked, published, jobs.new_id())
    if isinstance(made, bottle.HTTPResponse):
        return made
    return see_other(asked.ways.job(name, made.id))


def admitted(asked: Asked, name: str) -> Published:
    """The description that a new job is to be made from.

    Asked before the body is read: nobody may fill the disk who may not have a job.
    """
    published = asked.parts.catalogue.published(name)
    asked.parts.policy.may_run(asked.user, name)
    return published


def make(
    asked: Asked, published: Published, job_id: str, *also: tuple[str, str]
) -> Job | bottle.HTTPResponse:
    """The job that the request asks for, as if it said `also` where it does not say otherwise; it
    has another id if the same request made it before. For somebody at a page, the form with what
    is wrong in it."""
    parts = asked.parts
    key = _idempotency_key(asked)
    form: Form | None = None
    try:
        form = _read_job_form(asked, job_id, published.definition)
        if asked.by_browser:
            form = replace(form, values=without_blanks(form.values, published.definition))
        said = {key.upper() for key, _ in form.values}
        unsaid = [pair for pair in also if pair[0] not in said]
        form = replace(form, values=(*form.values, *unsaid))
        job, new = parts.service.create(asked.user, published, form, job_id=job_id, key=key)
    except JobExists:
        raise  # the folder of this id is another job's
    except OpusError as error:
        # What it raises says that no job was made, so the files are nobody's.
        parts.folders.remove(job_id)
        if isinstance(error, BadRequest) and form is not None and asked.by_browser:
            return _form_again(asked, published, form, error)
        raise
    if not new:
        parts.folders.remove(job_id)
    return job


def _form_again(
    asked: Asked, published: Published, form: Form, error: BadRequest
) -> bottle.HTTPResponse:
    """The page of the form as it was filled in, with what is wrong with it."""
    lost = [upload.name for _, upload in form.uploads]
    lost += [name for name, value in form.values if isinstance(value, LongText)]
    given = tuple((name, value) for name, value in form.values if isinstance(value, str))
    faults = error.faults if isinstance(error, BadInput) else {}
    return pages.form(
        asked, published, given, fault=error.sentence, faults=faults, lost=lost, status=400
    )


def without_blanks(values: Values, definition: JobDefinition) -> Values:
    """What somebody filled in: a page's form sends every field, also those left alone.

    A text that has a default and was emptied is meant to be empty.
    """

    def meant(name: str, value: Text) -> bool:
        entry = definition.find(name)
        emptied = (
            isinstance(entry, ParameterDescription)
            and entry.type is ParameterType.STRING
            and bool(entry.default)
            and not entry.repeated
        )
        return bool(value) or emptied

    return tuple((name, value) for name, value in values if meant(name, value))


def _read_job_form(asked: Asked, job_id: str, definition: JobDefinition) -> Form:
    store = partial(asked.parts.folders.store, job_id)
    meaning = validation.meanings(definition, asked.parts.service.run_options)
    return _read_form(asked, store, meaning)


def _read_form(asked: Asked, store: Store, meaning: Meanings) -> Form:
    return read_form(
        asked.environ,
        store=store,
        limits=asked.parts.limits,
        meaning=meaning,
        heavy=asked.turn.take,
    )


@contextmanager
def changing(asked: Asked, job: Job) -> Iterator[Store]:
    """Where the files of a request that changes a job are kept, while the job takes any.

    Whatever comes of the request, what the job does not name then is removed: nobody shall fill
    the disk with files that count for no quota.
    """
    came: list[Upload] = []

    def store(chunks: Iterator[bytes], *, name: str, media_type: str) -> Upload:
        if job.phase is not Phase.PENDING:
            raise _too_late(job)
        folders = asked.parts.folders
        came.append(folders.store(job.id, chunks, name=name, media_type=media_type))
        return came[-1]

    try:
        yield store
    finally:
        asked.parts.service.discard(job.id, [*came, *uploads_of(job)])


def read_change(asked: Asked, job: Job, store: Store) -> Form:
    """The form of a request that changes a job."""
    service = asked.parts.service

    def meaning(name: str) -> Meaning:
        # Read for such a part alone: a job can be stopped whatever has become of its description.
        return validation.meanings(service.definition_of(job), service.run_options)(name)

    return _read_form(asked, store, meaning)


def _too_late(job: Job) -> NotAllowed:
    # The rule itself is the service's; this spares the disk a file that nobody will want.
    return NotAllowed(
        f"job {job.id} is {job.phase}; its parameters can be changed while it is PENDING"
    )


def no_files(chunks: Iterator[bytes], *, name: str, media_type: str) -> Upload:
    """The store of a request that takes no files."""
    raise BadRequest("no file is taken here; send the values as text")


def _idempotency_key(asked: Asked) -> str | None:
    key = asked.header("Idempotency-Key").strip()
    if key and not _KEY.fullmatch(key):
        raise BadRequest("Idempotency-Key takes up to 255 printable ASCII characters, no blanks")
    return key or None


def read_value(asked: Asked, store: Store, entry: ParameterDescription | UsedDescription) -> Form:
    """The body of a PUT as the form that would set the same value."""
    limits = asked.parts.limits
    if isinstance(entry, UsedDescription):
        media_type = str(asked.environ.get("CONTENT_TYPE") or "application/octet-stream")
        upload = store(
            iter(Body(asked.environ, limits.max_file)),
            name=entry.name,
            media_type=media_type.split(";")[0].strip(),
        )
        return Form(uploads=((entry.name, upload),))
    text = Texts(store).take(entry.name, iter(Body(asked.environ, limits.max_text)))
    return Form(values=((entry.name, text),))
