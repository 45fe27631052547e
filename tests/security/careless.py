"""`opus`, with a plugin that logs what it is shown, and fails with it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection

from opus_core import cli, hookimpl
from opus_core.backends import RequestView, User
from opus_core.plugins import Registry

log = logging.getLogger("careless")


@hookimpl
def opus_authenticate(request: RequestView) -> User | None:
    shown = request.headers.get("authorization", "")
    log.warning("asked with %s", dict(request.headers))
    if "careless" in shown.lower():
        secret = shown.partition(" ")[2]
        raise RuntimeError(f"nobody\nis known by {shown} at https://eve:{secret}@example.org/")
    return None


discover = Registry.discover


def discover_carelessly(self: Registry, disabled: Collection[str] = ()) -> None:
    discover(self, disabled)
    self.register(sys.modules[__name__], "careless")


if __name__ == "__main__":
    Registry.discover = discover_carelessly
    sys.exit(cli.main())
