"""The files that pages are made with, and the library that scripts of others may take."""

from __future__ import annotations

from typing import Final

import bottle

from opus_core.errors import NotFound
from opus_core.render import assets
from opus_core.routes.reply import reply

_YEAR: Final = 31_536_000  # [s]
_MINUTE: Final = 60  # [s]


def get_static(asked: object, file: str) -> bottle.HTTPResponse:
    """A file as it is now."""
    return _file(file, f"public, max-age={_MINUTE}")


def get_stamped(asked: object, stamp: str, file: str) -> bottle.HTTPResponse:
    """The same, by an address that another version does not have, so it may be kept for ever."""
    if stamp != assets.stamp():
        return get_static(asked, file)
    return _file(file, f"public, max-age={_YEAR}, immutable")


def _file(file: str, kept: str) -> bottle.HTTPResponse:
    if file not in assets.FILES:
        raise NotFound("there is no such file")
    folder, kind = assets.FILES[file]
    return reply(assets.content(folder, file), kind, headers={"Cache-Control": kept})
