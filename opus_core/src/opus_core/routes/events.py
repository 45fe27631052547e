"""Where wrappers and schedulers report that something has happened to a job."""

from __future__ import annotations

from dataclasses import replace

import bottle

from opus_core.forms import read_form
from opus_core.forwarded import Networks
from opus_core.routes.asking import Asked
from opus_core.routes.creation import no_files
from opus_core.routes.reply import TEXT, reply
from opus_core.texts import LONGEST


def post_event(asked: Asked) -> bottle.HTTPResponse:
    """`jobid`, `phase` and `token`: the supervisor is asked to look; nothing else changes."""
    limits = replace(asked.parts.limits, max_text=LONGEST)
    form = read_form(asked.environ, store=no_files, limits=limits)
    fields: dict[str, str] = {}
    for name, value in form.values:
        if isinstance(value, str):  # as all are that are no longer than the limit
            fields.setdefault(name.lower(), value)
    trusted = asked.user.address in Networks(asked.parts.job_servers)
    found = asked.parts.service.event(fields, trusted=trusted)
    return reply(f"{found}\n", TEXT)
