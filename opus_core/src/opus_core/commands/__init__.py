"""The subcommands of `opus`: each module adds its parser (`add`) and is run by it (`run`)."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from opus_core.commands import (
    audit,
    check,
    client,
    db,
    demo,
    init,
    jdl,
    jobs,
    new_plugin,
    plugins,
    run,
    serve,
    supervise,
    token,
    user,
)

MODULES: Final[tuple[ModuleType, ...]] = (
    demo,
    run,
    init,
    serve,
    supervise,
    client,
    check,
    plugins,
    new_plugin,
    jdl,
    jobs,
    user,
    token,
    audit,
    db,
)
