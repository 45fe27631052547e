"""All journeys together."""

from __future__ import annotations

from opus_core.testing.journeys.describing import DescribeJourneys
from opus_core.testing.journeys.listing import ListJourneys
from opus_core.testing.journeys.recipe import Recipe
from opus_core.testing.journeys.restarting import RestartJourneys
from opus_core.testing.journeys.running import RunJourneys
from opus_core.testing.journeys.signing import SignInJourneys
from opus_core.testing.journeys.stopping import StopJourneys

__all__ = ["Journeys", "Recipe"]


class Journeys(
    RunJourneys, StopJourneys, RestartJourneys, ListJourneys, DescribeJourneys, SignInJourneys
):
    """Inherit it, and say in the fixture `recipe` how its servers are made; or run it by
    `pytest --opus-config FILE --pyargs opus_core.testing.journeys`."""
