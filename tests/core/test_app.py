"""What is opened together is closed together, whatever one of it does."""

from __future__ import annotations

import pytest

from opus_core import hookimpl
from opus_core.app import _take_in
from opus_core.errors import ConfigError, PluginError
from opus_core.extensions import Extension, Site
from opus_core.testing.memory import MemoryStorage


class Clock(Extension):
    name = "clock"
    about = "strikes"

    def __init__(self, error=None):
        super().__init__(None)
        self.error = error

    def open(self, site):
        if self.error:
            raise self.error

    @hookimpl
    def opus_job_phase_changed(self, change): ...


@pytest.fixture
def site(tmp_path):
    return Site(storage=MemoryStorage(MemoryStorage.Options()), data_dir=tmp_path)


def test_an_extension_that_cannot_begin_is_named(site):
    with pytest.raises(PluginError) as refusal:
        _take_in(Clock(KeyError("spring")), site)
    assert refusal.value.sentence == "[plugins.clock] it cannot begin: KeyError: 'spring'"


def test_what_it_says_itself_is_said(site):
    with pytest.raises(ConfigError, match="wind it up first"):
        _take_in(Clock(ConfigError("wind it up first")), site)
