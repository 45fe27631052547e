"""Where wrappers and schedulers report that something has happened to a job."""

from __future__ import annotations

import bottle

from opus_core.forms import read_form
from opus_core.forwarded import Networks
from opus_core.routes.asking import Asked
from opus_core.routes.creation import no_files
from opus_core.routes.reply import TEXT, reply


def post_event(asked: Asked) -> bottle.HTTPResponse:
    """`jobid`, `phase` and `token`: the supervisor is asked to look; nothing else changes."""
    form = read_form(asked.environ, store=no_files, limits=asked.parts.limits)
    fields: dict[str, str] = {}
    for name, value in form.values:
        fields.setdefault(name.lower(), value)
    trusted = asked.user.address in Networks(asked.parts.job_servers)
    found = asked.parts.service.event(fields, trusted=trusted)
    return reply(f"{found}\n", TEXT)
