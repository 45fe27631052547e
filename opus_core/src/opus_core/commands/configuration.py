"""The configuration that a command works by, which root does not take from another user."""

from __future__ import annotations

from pathlib import Path

from opus_core.checks.installation import Installation, is_root
from opus_core.checks.owners import anothers, typed_as
from opus_core.config import Config, load
from opus_core.errors import BadRequest
from opus_core.plugins import Registry


def configuration(named: Path | None) -> Config:
    """What `load` finds, for every command that opens an installation or writes to it.

    A configuration names programs and files, which root would run and write for whoever may change
    it; and what root makes in a data folder its owner cannot write later. `opus check` becomes the
    owner, for it prints and no more. A command stays, asks for a password, takes files of whoever
    types it: which of that the owner may have is for root to say, by typing it as the owner.

    Raises `ConfigError` as `load` does, and `BadRequest` where root asks and it is another's.
    """
    config = load(named)
    if not is_root():
        return config
    registry = Registry.installed(config.plugins.disabled)  # which are root's own
    found = anothers(Installation(config=config, registry=registry))
    if found is not None:
        path, user = found
        name = user.pw_name
        raise BadRequest(
            f"{path} belongs to {name}: root would run what {name} may have written there, and make"
            f" files that {name} cannot write; type this as {name}: {typed_as(user, 'opus ...')}"
        )
    return config
