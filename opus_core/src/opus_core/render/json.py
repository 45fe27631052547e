"""The same content as the XML documents, in JSON; names are those of the UWS schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any, Final

from opus_core.definition import JobDefinition
from opus_core.job import Job, JobSummary
from opus_core.render.text import instant
from opus_core.render.urls import Urls
from opus_core.render.xml import apart, numbered

_ROWS: Final = 100  # written at once


def job(value: Job, urls: Urls) -> bytes:
    """A job; what is not known is null."""
    name = value.definition.name
    return dumps(
        {
            "version": "1.1",
            "href": urls.job(name, value.id),
            "definition": {"name": name, "number": value.definition.number},
            "jobId": value.id,
            "runId": value.run_id,
            "ownerId": value.owner,
            "phase": value.phase,
            "quote": instant(value.quote) or None,
            "creationTime": instant(value.created),
            "startTime": instant(value.started) or None,
            "endTime": instant(value.ended) or None,
            "executionDuration": value.execution_duration,
            "destruction": instant(value.destruction) or None,
            "parameters": _parameters(value, urls),
            "results": _results(value, urls),
            "errorSummary": value.error
            and {
                "type": value.error.type,
                "hasDetail": value.error.has_detail,
                "message": value.error.message,
            },
            "jobInfo": dict(value.job_info),
        }
    )


def parameters(value: Job, urls: Urls) -> bytes:
    """The parameters of a job."""
    return dumps({"parameters": _parameters(value, urls)})


def results(value: Job, urls: Urls) -> bytes:
    """The results of a job."""
    return dumps({"results": _results(value, urls)})


def jobs(rows: Iterable[JobSummary], urls: Urls) -> Iterator[bytes]:
    """The job list, piece by piece."""
    yield b'{"version": "1.1", "jobs": [\n'
    left = iter(rows)
    between = ""
    while chunk := [json.dumps(_row(row, urls)) for row in islice(left, _ROWS)]:
        yield (between + ",\n".join(chunk)).encode()
        between = ",\n"
    yield b"\n]}\n"


def definition(value: JobDefinition, number: int) -> bytes:
    """A description, without its script, which is the site's own business."""
    content = {"number": number, **asdict(value)}
    del content["script"]
    return dumps(content)


def dumps(content: dict[str, Any]) -> bytes:
    """A JSON document that a person can read as well."""
    return json.dumps(content, indent=1).encode() + b"\n"


def _row(row: JobSummary, urls: Urls) -> dict[str, Any]:
    return {
        "jobId": row.id,
        "href": urls.job(row.definition.name, row.id),
        "definition": {"name": row.definition.name, "number": row.definition.number},
        "phase": row.phase,
        "runId": row.run_id,
        "ownerId": row.owner,
        "creationTime": instant(row.created),
        "startTime": instant(row.started) or None,
        "endTime": instant(row.ended) or None,
        "destruction": instant(row.destruction) or None,
    }


def _parameters(value: Job, urls: Urls) -> list[dict[str, Any]]:
    """JSON carries every character, so only files and long texts are by reference here."""
    entries: list[dict[str, Any]] = []
    for parameter, number in numbered(value):
        entry: dict[str, Any] = {"id": parameter.name, "byReference": apart(parameter)}
        if not apart(parameter):
            entry["value"] = parameter.value
        else:
            ours = urls.parameter(value.definition.name, value.id, parameter.name, number)
            entry["href"] = (parameter.upload and parameter.value) or ours
        if parameter.upload is not None:
            if not parameter.is_long:
                entry["file"] = parameter.upload.name
            if parameter.upload.sha256:  # else it is still to be fetched
                entry["size"] = parameter.upload.size
                entry["mime-type"] = parameter.upload.media_type
                entry["sha256"] = parameter.upload.sha256
        entries.append(entry)
    return entries


def _results(value: Job, urls: Urls) -> list[dict[str, Any]]:
    return [
        {
            "id": result.id,
            "href": urls.result(value.definition.name, value.id, result.id),
            "file": result.name,
            "size": result.size,
            "mime-type": result.media_type,
            "sha256": result.sha256,
        }
        for result in value.results
    ]
