"""Which tests are run, how thoroughly, and in which order: whichever environment and folder."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pytest

try:
    from hypothesis import settings
except ModuleNotFoundError:  # as in the environment that only builds pages
    pass
else:
    settings.register_profile("soak", max_examples=100)
    settings.register_profile("test", max_examples=40)
    settings.load_profile("soak" if os.environ.get("OPUS_SOAK") else "test")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only a soak has the time for, and sort the rest.

    Files that take long come first, by what they say themselves and then by the test that may take
    longest, so that the last one does not keep a single process busy while the others have nothing
    left to do. Each file stays in its own order.
    """
    if not os.environ.get("OPUS_SOAK"):
        left_out = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
    takes: dict[Path, float] = defaultdict(float)
    longest: dict[Path, float] = defaultdict(lambda: float(config.getini("timeout") or 0))
    for item in items:
        takes[item.path] = max(takes[item.path], _seconds(item, "takes"))
        longest[item.path] = max(longest[item.path], _seconds(item, "timeout"))
    items.sort(key=lambda item: (-takes[item.path], -longest[item.path]))


def _seconds(item: pytest.Item, name: str) -> float:
    marker = item.get_closest_marker(name)
    return float(marker.args[0]) if marker is not None and marker.args else 0.0
