"""Which tests are run, how thoroughly, how often, and in which order: in every environment."""

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


# Folders whose tests look by chance for what must never happen: one failure is one too many.
_BY_CHANCE = ("api", "security")
_NEVER_AGAIN = ("crash", "hypothesis")  # marks of such tests elsewhere


# Last, for marks that others give.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only a soak has the time for, say what is tried again, and sort the rest.

    Files that take long come first, by what they say themselves and then by the test that may take
    longest, so that the last one does not keep a single process busy while the others have nothing
    left to do. Each file stays in its own order.
    """
    if not os.environ.get("OPUS_SOAK"):
        left_out = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
        for item in items:
            if _may_fail_once(item):
                item.add_marker(pytest.mark.flaky(reruns=1))
    takes: dict[Path, float] = defaultdict(float)
    longest: dict[Path, float] = defaultdict(lambda: float(config.getini("timeout") or 0))
    for item in items:
        takes[item.path] = max(takes[item.path], _seconds(item, "takes"))
        longest[item.path] = max(longest[item.path], _seconds(item, "timeout"))
    items.sort(key=lambda item: (-takes[item.path], -longest[item.path]))


def _may_fail_once(item: pytest.Item) -> bool:
    """Most tests are about real processes, and several run at once on few processors: now and then
    one waits longer for them than anybody expects."""
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return folder not in _BY_CHANCE and not any(map(item.get_closest_marker, _NEVER_AGAIN))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests said at their first try that got another one."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"{report.nodeid}, at first")
        terminalreporter.write_line(report.longreprtext)


def _seconds(item: pytest.Item, name: str) -> float:
    marker = item.get_closest_marker(name)
    return float(marker.args[0]) if marker is not None and marker.args else 0.0
