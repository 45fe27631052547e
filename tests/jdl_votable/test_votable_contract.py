"""VOTable keeps every promise of a job description format."""

from __future__ import annotations

import pytest

from opus_core.testing import JdlContract
from opus_jdl_votable.plugin import VotableJdl


class TestVotableJdl(JdlContract):
    xml = True

    @pytest.fixture
    def make(self):
        return lambda: VotableJdl(VotableJdl.Options())
