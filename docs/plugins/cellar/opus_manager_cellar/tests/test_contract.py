"""Every promise of a manager, held against cellar."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from opus_core.testing import ManagerContract

from opus_manager_cellar.manager import CellarManager


class TestCellarManager(ManagerContract):
    @pytest.fixture
    def cellar(self, tmp_path):
        """The folder of a queue of its own for each test."""
        folder = tmp_path / "cellar"
        folder.mkdir()
        return folder

    @pytest.fixture
    def make(self, cellar):
        """Each call makes another instance on the same queue, as a restart does."""
        options = CellarManager.Options(folder=cellar)
        return lambda: CellarManager(options)

    @pytest.fixture
    def unavailable(self, cellar):
        """A context in which the queue cannot be asked."""

        @contextmanager
        def away():
            cellar.rename(cellar.with_name("away"))
            try:
                yield
            finally:
                cellar.with_name("away").rename(cellar)

        return away
