"""Write openapi.json from openapi.yaml: `.tox/api/bin/python tests/api/convert.py`.

The core ships both, so that it needs no parser of YAML to show the document as a page.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

STATIC = Path(str(resources.files("opus_core.render"))) / "static"


def read() -> dict[str, Any]:
    """The document as it was written by hand."""
    return yaml.safe_load((STATIC / "openapi.yaml").read_text())


def converted() -> str:
    """The text that openapi.json has to have."""
    return json.dumps(read(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (STATIC / "openapi.json").write_text(converted())
