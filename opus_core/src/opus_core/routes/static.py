"""What pages are made with: the style sheet, the icon, and the library that scripts use."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

import bottle

from opus_core.errors import NotFound
from opus_core.routes.asking import Asked
from opus_core.routes.reply import reply

_FILES: Final = {
    "opus.css": ("render/static", "text/css; charset=utf-8"),
    "opus.svg": ("render/static", "image/svg+xml"),
    "uwsLib.js": ("client/uwslib", "text/javascript; charset=utf-8"),
}
_YEAR: Final = 31_536_000  # [s]


def get_static(asked: Asked, file: str) -> bottle.HTTPResponse:
    """A file; pages name it with its version, so it may be kept for ever."""
    if file not in _FILES:
        raise NotFound("there is no such file")
    folder, kind = _FILES[file]
    kept = _YEAR if asked.value("V") else 60
    headers = {"Cache-Control": f"public, max-age={kept}"}
    return reply(content(folder, file), kind, headers=headers)


@cache
def content(folder: str, file: str) -> bytes:
    """A file of this package, as it is."""
    return resources.files("opus_core").joinpath(folder, file).read_bytes()
