"""In which order tests are run: whichever environment, whichever folder."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with the test that may take longest first, each in its own order, so that the last one
    does not keep a single process busy while the others have nothing left to do."""
    longest: dict[Path, float] = defaultdict(lambda: float(config.getini("timeout") or 0))
    for item in items:
        marker = item.get_closest_marker("timeout")
        if marker is not None and marker.args:
            longest[item.path] = max(longest[item.path], float(marker.args[0]))
    items.sort(key=lambda item: -longest[item.path])
