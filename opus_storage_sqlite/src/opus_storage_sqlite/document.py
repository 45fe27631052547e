"""A job as a row, and back, nothing lost: columns for what is asked for, one document for the rest.

The document is JSON that holds only what differs from an empty job. Its words are the fields of
`opus_core.job.Job`, instants are microseconds since 1970 UTC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from sqlalchemy import Row

from opus_core.errors import BadRequest
from opus_core.job import (
    DefinitionRef,
    ErrorSummary,
    ErrorType,
    Idempotency,
    Job,
    JobSummary,
    Mark,
    Parameter,
    Phase,
    Result,
    Upload,
    Watch,
    Work,
)
from opus_storage_sqlite.clock import instant, instant_or_none, micros, micros_or_none
from opus_storage_sqlite.tables import jobs

SUMMARY: Final = (
    jobs.c.id,
    jobs.c.definition,
    jobs.c.number,
    jobs.c.owner,
    jobs.c.run_id,
    jobs.c.phase,
    jobs.c.version,
    jobs.c.created,
    jobs.c.started,
    jobs.c.ended,
    jobs.c.destruction,
)
"""The columns of a summary, in the order that `summary_of` takes."""

JOB: Final = (
    *SUMMARY,
    jobs.c.work,
    jobs.c.submitted_at,
    jobs.c.quota_key,
    jobs.c.idempotency_key,
    jobs.c.idempotency_body,
    jobs.c.tag,
    jobs.c.native_ids,
    jobs.c.job_info,
    jobs.c.document,
)
"""The columns of a whole job, in the order that `job_of` takes."""

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"

_SUMMARY_COLUMNS: Final = len(SUMMARY)
_JOB_COLUMNS: Final = len(JOB)
_WATCHED: Final = ("resubmitted", "absent", "over", "gone", "sealed", "aborted")


def columns(job: Job) -> dict[str, Any]:
    """What a save writes: all but `id`, `version`, `created`, `due`, `idempotency`, `job_info`."""
    return {
        "definition": job.definition.name,
        "number": job.definition.number,
        "owner": job.owner,
        "run_id": job.run_id,
        "phase": job.phase.value,
        "work": job.work.value,
        "doomed": job.doomed,
        "started": micros_or_none(job.started),
        "ended": micros_or_none(job.ended),
        "destruction": micros_or_none(job.destruction),
        "submitted_at": micros_or_none(job.submitted_at),
        "bytes": job.bytes,
        "quota_key": job.quota_key,
        "tag": job.tag,
        "native_ids": dump(job.native_ids),
        "search": job.run_id.casefold() if job.run_id is not None else None,
        "document": dump(_document(job)),
    }


def _document(job: Job) -> dict[str, Any]:
    words: dict[str, Any] = {
        "marks": sorted(job.marks),
        "queued": micros_or_none(job.queued),
        "quote": micros_or_none(job.quote),
        "execution_duration": job.execution_duration,
        "parameters": [_parameter(one) for one in job.parameters],
        "options": dict(job.options),
        "results": [
            [one.id, one.name, one.size, one.media_type, one.sha256] for one in job.results
        ],
        "manager": job.manager,
        "watch": _watch(job.watch),
    }
    if job.error is not None:
        words["error"] = [job.error.message, job.error.type.value, job.error.has_detail]
    return {word: value for word, value in words.items() if value not in (None, "", [], {})}


def _parameter(parameter: Parameter) -> list[Any]:
    upload = parameter.upload
    if upload is None:
        return [parameter.name, parameter.value]
    file = [upload.sha256, upload.size, upload.name, upload.media_type]
    return [parameter.name, parameter.value, file]


def _watch(watch: Watch) -> dict[str, int]:
    seen = {word: getattr(watch, word) for word in _WATCHED}
    words = {word: micros(value) for word, value in seen.items() if value is not None}
    return words | ({"attempts": watch.attempts} if watch.attempts else {})


def summary_of(row: AnyRow | tuple[Any, ...]) -> JobSummary:
    """A row that begins with the columns `SUMMARY`."""
    (job_id, name, number, owner, run_id, phase, version, created, started, ended, end) = tuple(
        row[:_SUMMARY_COLUMNS]
    )
    return JobSummary(
        id=job_id,
        definition=DefinitionRef(name, number),
        owner=owner,
        run_id=run_id,
        phase=Phase(phase),
        version=version,
        created=instant(created),
        started=instant_or_none(started),
        ended=instant_or_none(ended),
        destruction=instant_or_none(end),
    )


def job_of(row: AnyRow | tuple[Any, ...]) -> Job:
    """A row that begins with the columns `JOB`."""
    (job_id, name, number, owner, run_id, phase, version, created, started, ended, destruction) = (
        tuple(row[:_SUMMARY_COLUMNS])
    )
    work, submitted_at, quota_key, key, body, tag, native_ids, info, document = tuple(
        row[_SUMMARY_COLUMNS:_JOB_COLUMNS]
    )
    words = json.loads(document)
    error = words.get("error")
    return Job(
        id=job_id,
        definition=DefinitionRef(name, number),
        owner=owner,
        quota_key=quota_key,
        run_id=run_id,
        phase=Phase(phase),
        work=Work(work),
        marks=frozenset(map(Mark, words.get("marks", ()))),
        version=version,
        created=instant(created),
        queued=instant_or_none(words.get("queued")),
        started=instant_or_none(started),
        ended=instant_or_none(ended),
        destruction=instant_or_none(destruction),
        quote=instant_or_none(words.get("quote")),
        execution_duration=words.get("execution_duration", 0),
        parameters=parameters_of(words),
        options=words.get("options", {}),
        results=tuple(_result_of(*fields) for fields in words.get("results", ())),
        error=_error_of(*error) if error is not None else None,
        job_info=json.loads(info),
        manager=words.get("manager", ""),
        tag=tag,
        native_ids=tuple(json.loads(native_ids)),
        submitted_at=instant_or_none(submitted_at),
        idempotency=Idempotency(key=key, body=body) if key is not None else None,
        watch=_watch_of(**words.get("watch", {})),
    )


def parameters_of(document: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """The parameters in a document that was parsed."""
    return tuple(_parameter_of(*fields) for fields in document.get("parameters", ()))


def _parameter_of(name: str, value: str, file: list[Any] | None = None) -> Parameter:
    if file is None:
        return Parameter(name=name, value=value)
    sha256, size, file_name, media_type = file
    upload = Upload(sha256=sha256, size=size, name=file_name, media_type=media_type)
    return Parameter(name=name, value=value, upload=upload)


def _result_of(result_id: str, name: str, size: int, media_type: str, sha256: str) -> Result:
    return Result(id=result_id, name=name, size=size, media_type=media_type, sha256=sha256)


def _error_of(message: str, kind: str, has_detail: bool) -> ErrorSummary:
    return ErrorSummary(message=message, type=ErrorType(kind), has_detail=has_detail)


def _watch_of(attempts: int = 0, **seen: int) -> Watch:
    return Watch(attempts=attempts, **{word: instant(value) for word, value in seen.items()})


def dump(value: object) -> str:
    """JSON in one line, as it is stored. `BadRequest` for what JSON has no words for."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise BadRequest(f"this cannot be stored as JSON: {error}") from error
