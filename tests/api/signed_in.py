"""`opus serve` with users: who says `Authorization: Bearer NAME` is NAME, but nobody is `x`."""

from __future__ import annotations

import sys
from collections.abc import Collection

from opus_core import cli, hookimpl
from opus_core.backends import RequestView, User
from opus_core.errors import NotAuthenticated
from opus_core.plugins import Registry

ROLES = {"ann": (), "full": (), "pen": ("publisher",)}


@hookimpl
def opus_authenticate(request: RequestView) -> User | None:
    scheme, _, name = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer":
        return None
    if name not in ROLES:
        raise NotAuthenticated("this token is nobody's")
    return User(name=name, roles=frozenset(ROLES[name]))


discover = Registry.discover


def discover_and_sign_in(self: Registry, disabled: Collection[str] = ()) -> None:
    discover(self, disabled)
    self.register(sys.modules[__name__], "door")


if __name__ == "__main__":
    Registry.discover = discover_and_sign_in
    sys.exit(cli.main())
