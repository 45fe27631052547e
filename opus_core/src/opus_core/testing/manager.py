"""The contract of `Manager`: every promise of its docstrings as a test."""

from __future__ import annotations

from opus_core.testing.manager_answers import AnswerPromises
from opus_core.testing.manager_offer import OfferPromises
from opus_core.testing.manager_reach import ReachPromises
from opus_core.testing.manager_start import StartPromises
from opus_core.testing.manager_status import StatusPromises
from opus_core.testing.manager_stop import StopPromises


class ManagerContract(
    StartPromises, StatusPromises, StopPromises, AnswerPromises, ReachPromises, OfferPromises
):
    """Inherit it and say how an instance is made; all instances share what a manager keeps.

        class TestMyManager(ManagerContract):
            @pytest.fixture
            def make(self, tmp_path):
                return lambda: MyManager(MyManager.Options(folder=tmp_path / "manager"))

    The kit writes jobs below the fixture `job_root`, with the real wrapper, and runs them. A slow
    cluster needs OPUS_TESTING_PATIENCE [s] in the environment.

    What a cluster does not do is said by class attributes:

    - `shared_folder = False`: it does not see the folders of jobs as this machine does.
    - `forgets = False`: its history goes on knowing a deleted task.
    - `asks`: the methods that cannot do without the scheduler.

    and by the manager's own: `can_resume`, and `parallel`, without which threads are not tried.

    What the kit cannot bring about by itself is said by fixtures, and skipped without them:

    - `unavailable`, `unreachable`: callables that make a context in which the scheduler does not
      answer, or the folders of jobs cannot be looked into.
    - `rejected`, `held`: callables that make of a task one which the scheduler will never run, or
      holds.
    - `crowded`: a callable that makes a context in which what is started waits in the manager's own
      queue; of a scheduler's queue nothing is moved or disowned.
    - `restarted`: a callable that starts the scheduler anew, as after a crash.
    - `unfit`: a callable that makes an instance which cannot work here.
    """
