"""What `pytest --opus-config FILE --pyargs opus_core.testing.journeys` runs."""

from __future__ import annotations

import pytest

from opus_core.testing.journeys.suite import Journeys, Recipe


class TestWholeServer(Journeys):
    """A server with the configuration that the command line names."""

    @pytest.fixture
    def recipe(
        self, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
    ) -> Recipe:
        """As the options say."""
        return Recipe.from_options(pytestconfig, tmp_path_factory.getbasetemp() / "journeys")
