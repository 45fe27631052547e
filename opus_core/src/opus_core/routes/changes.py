"""What has happened to one's own jobs since last asked: for pages that keep a list up to date.

A list of the UWS cannot block; this can, in the same budget as WAIT.
"""

from __future__ import annotations

from typing import Any, Final

import bottle

from opus_core.errors import BadRequest
from opus_core.job import Change
from opus_core.queries import once, parse_wait, whole
from opus_core.render import json
from opus_core.render.negotiate import Format
from opus_core.render.text import instant
from opus_core.render.urls import Urls
from opus_core.routes.asking import Asked
from opus_core.routes.reply import document
from opus_core.values import shown

_BEGIN: Final = -1


def get_changes(asked: Asked) -> bottle.HTTPResponse:
    """`after=SEQ&WAIT=n`: the changes behind SEQ, as soon as there are any, in JSON.

    Without `after` only the number to begin with, at once.
    """
    wait = parse_wait(asked.pairs)
    seconds = wait.seconds if wait else 0
    found = asked.parts.service.changes(asked.user, _after(asked), seconds, asked.gone)
    content = {
        "seq": found.seq,
        "reset": found.reset,
        "changes": [_row(change, asked.urls) for change in found.changes],
    }
    return document(asked, Format.JSON, json.dumps(content))


def _after(asked: Asked) -> int:
    given: dict[str, str] = {}
    for name, value in asked.pairs:
        if name.upper() == "AFTER":
            once(given, "after", value)
    if not given:
        return _BEGIN
    number = whole(given["after"])
    if number is None or number < 0:
        raise BadRequest(
            f"after cannot be {shown(given['after'])}; it is the seq of an earlier answer"
        )
    return number


def _row(change: Change, urls: Urls) -> dict[str, Any]:
    return {
        "seq": change.seq,
        "jobId": change.job_id,
        "name": change.definition.name,
        "href": urls.job(change.definition.name, change.job_id),
        "runId": change.run_id,
        "ownerId": change.owner,
        "from": change.old,
        "phase": change.new,
        "time": instant(change.time),
    }
