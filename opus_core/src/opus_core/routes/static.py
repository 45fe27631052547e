"""The style sheet and the icon of the pages."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

import bottle

from opus_core.errors import NotFound
from opus_core.routes.asking import Asked
from opus_core.routes.reply import reply

_TYPES: Final = {"opus.css": "text/css; charset=utf-8", "opus.svg": "image/svg+xml"}
_YEAR: Final = 31_536_000  # [s]


def get_static(asked: Asked, file: str) -> bottle.HTTPResponse:
    """A file; pages name it with its version, so it may be kept for ever."""
    if file not in _TYPES:
        raise NotFound("there is no such file")
    kept = _YEAR if asked.value("V") else 60
    headers = {"Cache-Control": f"public, max-age={kept}"}
    return reply(_content(file), _TYPES[file], headers=headers)


@cache
def _content(file: str) -> bytes:
    return resources.files("opus_core.render").joinpath("static", file).read_bytes()
