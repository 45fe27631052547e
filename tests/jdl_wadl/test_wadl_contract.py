"""WADL keeps every promise of a job description format."""

from __future__ import annotations

import pytest

from opus_core.testing import JdlContract
from opus_jdl_wadl.plugin import WadlJdl


class TestWadlJdl(JdlContract):
    xml = True

    @pytest.fixture
    def make(self):
        return lambda: WadlJdl(WadlJdl.Options())
