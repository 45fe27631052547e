"""The contract of `Manager`: every promise of its docstrings as a test."""

from __future__ import annotations

from opus_core.testing.manager_reach import ReachPromises
from opus_core.testing.manager_start import StartPromises
from opus_core.testing.manager_status import StatusPromises
from opus_core.testing.manager_stop import StopPromises


class ManagerContract(StartPromises, StatusPromises, StopPromises, ReachPromises):
    """Inherit it and say how an instance is made; all instances share what a manager keeps.

        class TestMyManager(ManagerContract):
            @pytest.fixture
            def make(self, tmp_path):
                return lambda: MyManager(MyManager.Options(folder=tmp_path / "manager"))

    The kit writes jobs below the fixture `job_root`, with the real wrapper, and runs them. What a
    cluster cannot do is said by class attributes (`shared_folder`, `forgets`, `asks`); what the
    kit cannot bring about is skipped unless one of four fixtures does: `unavailable`,
    `unreachable`, `rejected`, `held`. A slow cluster needs OPUS_TESTING_PATIENCE [s] in the
    environment.
    """
