"""What can be asked of this server: the OpenAPI document, and the same as a page."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, Final

import bottle

from opus_core.routes import pages
from opus_core.routes.asking import Asked
from opus_core.routes.reply import JSON, reply

_YAML: Final = "application/yaml"  # RFC 9512


def get_page(asked: Asked) -> bottle.HTTPResponse:
    """The document for people."""
    return pages.api(asked, _document())


def get_yaml(asked: Asked) -> bottle.HTTPResponse:
    """The document as it was written."""
    return reply(_content("openapi.yaml"), _YAML)


def get_json(asked: Asked) -> bottle.HTTPResponse:
    """The same for who has no parser of YAML."""
    return reply(_content("openapi.json"), JSON)


@cache
def _content(file: str) -> bytes:
    return resources.files("opus_core.render").joinpath("static", file).read_bytes()


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_content("openapi.json"))
    return document
