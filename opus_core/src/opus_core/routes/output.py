"""What a job reads and writes: its parameters' values, its results, its standard output and error.

Nothing else of a job's folder is ever sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import BinaryIO, Final

import bottle

from opus_core.errors import (
    BackendUnavailable,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    OpusError,
)
from opus_core.folder import Folders
from opus_core.job import Job, Parameter, Phase, Result, Work
from opus_core.render import json
from opus_core.render.negotiate import Format
from opus_core.render.text import instant
from opus_core.routes import files
from opus_core.routes.asking import Asked, check_id
from opus_core.routes.reply import TEXT, document

TAIL: Final = 65536  # [byte] of an output that a text about a failure ends with
_PIECE: Final = 65536  # [byte] of a text sent at once
_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def get_result(asked: Asked, name: str, job_id: str, result_id: str) -> bottle.HTTPResponse:
    """A result file: for whoever may see the job, or shows a `TICKET`."""
    parts, ticket = asked.parts, asked.value("TICKET")
    if ticket and parts.tickets.admits(ticket, check_id(job_id), result_id):
        job, result = parts.service.admitted_result(name, job_id, result_id)
    else:
        try:
            job, result = parts.service.result(asked.user, name, check_id(job_id), result_id)
        except (NotAuthenticated, NotAllowed) as error:
            if not ticket:
                raise
            raise type(error)(
                "this address was good for some minutes, and for one result; ask for a new one, or"
                " sign in"
            ) from error
    file = open_result(parts.folders, job, result)
    return files.send(
        asked,
        file,
        size=result.size,
        content_type=files.media_type(result.media_type),
        tag=result.sha256,
        name=result.name,
        path=parts.folders.path(job.id) / "results" / result.name,
    )


def post_ticket(asked: Asked, name: str, job_id: str, result_id: str) -> bottle.HTTPResponse:
    """An address of a result that is good without signing in, for some minutes: whoever may see the
    job hands it to a program of theirs."""
    parts = asked.parts
    job, result = parts.service.result(asked.user, name, check_id(job_id), result_id)
    ticket = parts.tickets.make(job.id, result.id)
    url = f"{asked.urls.result(name, job.id, result.id)}?TICKET={ticket.text}"
    content = {"url": url, "expires": instant(ticket.expires)}
    return document(asked, Format.JSON, json.dumps(content))


def open_result(folders: Folders, job: Job, result: Result) -> BinaryIO:
    """The file of a result. Its hash is what we promise of it: an `OpusError` for another file."""
    file, status = folders.open_file(job.id, "results", result.name)
    if status.st_size != result.size:
        file.close()
        raise OpusError(
            f"result {result.id} of job {job.id} is not what the job left: {status.st_size} bytes"
            f" instead of {result.size}"
        )
    return file


def get_parameter(asked: Asked, name: str, job_id: str, parameter: str) -> bottle.HTTPResponse:
    """The value of a parameter, byte for byte, or the file that was sent for it.

    Several values: one a line, or the one that VALUE numbers, from 1.
    """
    job = asked.job(name, job_id)
    found = [one for one in job.parameters if one.name.casefold() == parameter.casefold()]
    number = asked.value("VALUE")
    if number:
        if not (number.isascii() and number.isdecimal() and 0 < int(number[:9]) <= len(found)):
            raise NotFound(f"{parameter[:64]!r} has no value of number {number[:20]!r}")
        found = [found[int(number) - 1]]
    if not found:
        there = ", ".join(dict.fromkeys(one.name for one in job.parameters)) or "none"
        raise NotFound(f"job {job.id} has no parameter {parameter[:64]!r}; it has: {there}")
    upload = found[0].upload
    if len(found) > 1 and any(one.is_long for one in found):
        size = sum(map(_size, found)) + len(found) - 1
        pieces = _joined(asked.parts.folders, job.id, found)
        return files.send_pieces(pieces, size=size, content_type=TEXT)
    if upload is not None and upload.sha256:  # else it is a URL that is still to be fetched
        file, _ = asked.parts.folders.open_file(job.id, "input", upload.sha256)
        return files.send(
            asked,
            file,
            size=upload.size,
            content_type=files.media_type(upload.media_type),
            tag=upload.sha256,
            name="" if upload.is_text else upload.name or found[0].name,
            path=asked.parts.folders.path(job.id) / "input" / upload.sha256,
        )
    data = b"\n".join(map(_bytes, found))
    return files.send(asked, data, size=len(data), content_type=TEXT)


def _bytes(text: Parameter) -> bytes:
    return text.value.encode("utf-8", "surrogatepass")


def _size(text: Parameter) -> int:
    return len(_bytes(text)) if text.upload is None else text.upload.size


def _joined(folders: Folders, job_id: str, texts: Iterable[Parameter]) -> Iterator[bytes]:
    """Texts, some of which are files, one a line; a file at a time is open."""
    for number, text in enumerate(texts):
        if number:
            yield b"\n"
        if text.upload is None:
            yield _bytes(text)
            continue
        file, _ = folders.open_file(job_id, "input", text.upload.sha256)
        with file:
            while piece := file.read(_PIECE):
                yield piece


def get_stdout(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """What the job has written to its standard output until now."""
    return _get_output(asked, name, job_id, "stdout")


def get_stderr(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """What the job has written to its standard error until now."""
    return _get_output(asked, name, job_id, "stderr")


def _get_output(asked: Asked, name: str, job_id: str, which: str) -> bottle.HTTPResponse:
    job = asked.job(name, job_id)
    file, size = _open_output(asked, job, which)
    if file is None:
        if job.phase not in (Phase.EXECUTING, Phase.SUSPENDED):
            raise NotFound(f"job {job.id} has no {which}; it is {job.phase}")
        return files.send(asked, b"", size=0, content_type=TEXT)
    return files.send(asked, file, size=size, content_type=TEXT)


def _open_output(asked: Asked, job: Job, which: str) -> tuple[BinaryIO | None, int]:
    """The file as long as it is now; None if there is none yet. Somebody reads: ask for more."""
    if job.work is Work.LIVE:
        asked.parts.storage.poke("output", job_id=job.id)
    try:
        file, status = asked.parts.folders.open_file(job.id, which)
    except NotFound:
        return None, 0
    return file, status.st_size


def tail(asked: Asked, job: Job, which: str) -> str:
    """The last 64 KiB of an output, from the beginning of a line, without terminal colours; empty
    where it cannot be had just now, for there is more to be told."""
    file: BinaryIO | None = None
    with suppress(BackendUnavailable):
        file, size = _open_output(asked, job, which)
    if file is None:
        return ""
    with file:
        file.seek(max(0, size - TAIL))
        data = file.read(min(size, TAIL))
    if size > TAIL:
        _, newline, rest = data.partition(b"\n")
        data = rest if newline and rest else data
    return _COLOURS.sub("", data.decode("utf-8", "replace"))
