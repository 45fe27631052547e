"""Where wrappers and schedulers report that something has happened to a job."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import bottle

from opus_core.forms import read_form
from opus_core.routes.asking import Asked
from opus_core.routes.creation import no_files
from opus_core.routes.reply import TEXT, reply


def post_event(asked: Asked) -> bottle.HTTPResponse:
    """`jobid`, `phase` and `token`: the supervisor is asked to look; nothing else changes."""
    form = read_form(asked.environ, store=no_files, limits=asked.parts.limits)
    fields: dict[str, str] = {}
    for name, value in form.values:
        fields.setdefault(name.lower(), value)
    trusted = _within(asked.user.address, asked.parts.job_servers)
    found = asked.parts.service.event(fields, trusted=trusted)
    return reply(f"{found}\n", TEXT)


def _within(address: str, networks: Sequence[str]) -> bool:
    """Whether the address of the connection itself is in one of the networks."""
    try:
        asking = ipaddress.ip_address(address)
    except ValueError:  # a Unix socket, or nothing
        return False
    mapped = getattr(asking, "ipv4_mapped", None)
    if mapped is not None:
        asking = mapped
    return any(asking in ipaddress.ip_network(network) for network in networks)
