"""What the supervisor said last of itself and of all that it works with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from opus_core.backends import SUPERVISOR, HealthState
from opus_core.checks.installation import Installation
from opus_core.finding import Code, Finding, State, ok
from opus_core.why import NO_SUPERVISOR, is_silent

NONE: Final = Code(
    "supervisor-missing",
    State.WARNING,
    "No supervisor has been heard of in the last 30 s: jobs are taken, and none runs.",
    "Start `opus supervise`, or `opus serve`, which has one in it; see its log if it should run.",
)
DOWN: Final = Code(
    "component-down",
    State.ERROR,
    "The supervisor cannot work with a part: the cluster, jobs of a manager that is not configured"
    " any more, a plugin.",
    "Do what the sentence says; it goes on by itself when that part does.",
)
DEGRADED: Final = Code(
    "component-degraded",
    State.WARNING,
    "A part works, and not as it should.",
    "Do what the sentence says.",
)
_CODES: Final = {HealthState.DOWN: DOWN, HealthState.DEGRADED: DEGRADED}


def findings(installation: Installation) -> Iterator[Finding]:
    """Of the supervisor, and of others only while there is one that looks at them."""
    if installation.storage is None or installation.trial:
        return
    health = installation.storage.health()
    supervisor = health.get(SUPERVISOR)
    if supervisor is None or is_silent(supervisor):
        yield NONE("supervisor", NO_SUPERVISOR)
        return
    for name, one in sorted(health.items()):
        if one.state in _CODES:
            yield _CODES[one.state](name, f"{one.sentence} (since {one.since:%Y-%m-%d %H:%M} UTC)")
        elif name == SUPERVISOR:
            yield ok(name, one.sentence)
