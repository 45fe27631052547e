"""What can be asked of this server: the OpenAPI document, and the same as a page."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

import bottle

from opus_core.render.assets import content
from opus_core.routes import pages
from opus_core.routes.asking import Asked
from opus_core.routes.reply import JSON, reply

_YAML: Final = "application/yaml"  # RFC 9512


def get_page(asked: Asked) -> bottle.HTTPResponse:
    """The document for people."""
    return pages.api(asked, _document())


def get_yaml(asked: Asked) -> bottle.HTTPResponse:
    """The document as it was written."""
    return reply(content("render/static", "openapi.yaml"), _YAML)


def get_json(asked: Asked) -> bottle.HTTPResponse:
    """The same for who has no parser of YAML."""
    return reply(content("render/static", "openapi.json"), JSON)


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(content("render/static", "openapi.json"))
    return document
