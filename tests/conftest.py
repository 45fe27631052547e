"""Which tests are run, and in which order: whichever environment, whichever folder."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only a soak has the time for, and sort the rest.

    Files with the test that may take longest come first, each in its own order, so that the last
    one does not keep a single process busy while the others have nothing left to do.
    """
    if not os.environ.get("OPUS_SOAK"):
        left_out = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
    longest: dict[Path, float] = defaultdict(lambda: float(config.getini("timeout") or 0))
    for item in items:
        marker = item.get_closest_marker("timeout")
        if marker is not None and marker.args:
            longest[item.path] = max(longest[item.path], float(marker.args[0]))
    items.sort(key=lambda item: -longest[item.path])
