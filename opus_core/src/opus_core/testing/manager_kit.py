"""How the manager contract writes jobs, lets them run, and waits for what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

import pytest

from opus_core.backends import Kind, Manager, Ref, Status, Task
from opus_core.definition import GeneratedDescription, JobDefinition
from opus_core.folder import Folders
from opus_core.job import Phase, Work, new_id, now
from opus_core.testing.backend import BackendContract, Instances, MakeContext
from opus_core.testing.samples import a_job
from opus_core.testing.timing import PATIENCE, eventually

WAITS: Final = "until [ -e stop ] || ((SECONDS > 300)); do sleep 0.02; done\n"
"""Runs until it is told to stop, by a file in its working directory, and never for ever."""

COUNTS: Final = "echo once >> runs\n"
"""Leaves a line for each time that the script ran."""

NEVER: Final = Ref(tag="opus-kit-never")
"""A submission that never was."""

_ALIVE: Final = (Kind.QUEUED, Kind.HELD, Kind.RUNNING, Kind.SUSPENDED)


class Desk:
    """Writes the folders of jobs with the real wrapper, and watches over what was started."""

    def __init__(self, root: Path) -> None:
        self.folders = Folders(root)
        self.tasks: list[Task] = []

    def task(self, script: str, options: Mapping[str, str] | None = None) -> Task:
        """A job that has yet to be started; a file `out` that the script writes is its result."""
        definition = JobDefinition(
            name="kit",
            script=script,
            generated=(GeneratedDescription(name="out"),),
            options=options or {},
        )
        job_id = new_id()
        job = a_job(
            id=job_id,
            phase=Phase.QUEUED,
            work=Work.STARTING,
            tag=f"opus-kit-{job_id}",
            submitted_at=now(),
        )
        self.folders.write(job, definition, event=None, host="kit", backends={})
        self.tasks.append(self.folders.task(job, definition))
        return self.tasks[-1]

    def started(self, manager: Manager, script: str) -> Task:
        """A task that has been started; its ref has the native id."""
        task = self.task(script)
        return known(task, manager.start(task))

    def move(self, task: Task) -> Task:
        """The last task, whose folder lies below another root from now on."""
        root = self.folders.root
        there = root.with_name(f"{root.name}-moved")
        root.rename(there)
        self.folders = Folders(there)
        self.tasks[-1] = replace(task, folder=self.folders.path(task.job_id))
        return self.tasks[-1]

    def clear(self, manager: Manager) -> None:
        """Stop all that was started, and let the manager forget it.

        Whether these calls do what they promise is for the tests to say, and not said here.
        """
        for task in self.tasks:
            with suppress(Exception):
                manager.seal(task)  # lest it begins when nobody waits for its end any more
            let_end(task)
        for task in self.tasks:
            if not _is_over_within(1.0, manager, task):
                with suppress(Exception):
                    manager.abort(Ref(tag=task.ref.tag))
                _is_over_within(min(PATIENCE, 10.0), manager, task)
            with suppress(Exception):
                manager.delete(task)


class ManagerKit(BackendContract[Manager]):
    """Fixtures of the manager contract; `make` is the author's, the rest may be overridden."""

    shared_folder: ClassVar[bool] = True
    """Whether the cluster sees the folders of jobs as this machine does. Where it does not, what
    needs a word with a running script is skipped."""

    forgets: ClassVar[bool] = True
    """Whether a deleted task is GONE at once; a scheduler's own history may go on knowing it."""

    @pytest.fixture
    def unavailable(self) -> MakeContext | None:
        """Override with a callable that makes a context in which the scheduler does not answer."""
        return None

    @pytest.fixture
    def unreachable(self) -> MakeContext | None:
        """Override with a callable that makes a context in which the folders of jobs cannot be
        looked into, where the cluster has them."""
        return None

    @pytest.fixture
    def rejected(self) -> Callable[[Task], Task] | None:
        """Override with a callable that makes of a task one which the scheduler will never run."""
        return None

    @pytest.fixture
    def held(self) -> Callable[[Task], Task] | None:
        """Override with a callable that makes of a task one which the scheduler holds."""
        return None

    @pytest.fixture
    def crowded(self) -> MakeContext | None:
        """Override with a callable that makes a context in which what is started waits in a queue
        that the manager keeps itself, and is launched by it afterwards."""
        return None

    @pytest.fixture
    def restarted(self) -> Callable[[], None] | None:
        """Override with a callable that starts the scheduler anew, as after a crash: it may have
        forgotten what it had, and count from 1 again."""
        return None

    @pytest.fixture
    def job_root(self, tmp_path: Path) -> Path:
        """Where the folders of jobs are made; a cluster may have to see it."""
        return tmp_path / "jobs"

    @pytest.fixture
    def instances(self, make: Callable[[], Manager]) -> Iterator[Instances[Manager]]:
        """Makes instances that share what a manager keeps."""
        opened = Instances(make, lambda manager: None)
        yield opened
        opened.close()

    @pytest.fixture
    def manager(self, instances: Instances[Manager]) -> Manager:
        """A manager that nothing was asked of."""
        return instances.open()

    @pytest.fixture
    def desk(self, instances: Instances[Manager], job_root: Path) -> Iterator[Desk]:
        """Writes jobs, and ends them after the test."""
        desk = Desk(job_root)
        yield desk
        if desk.tasks:
            desk.clear(instances.open())

    @pytest.fixture
    def within_reach(self) -> None:
        """Skips what has to talk to a running script where it cannot."""
        if not self.shared_folder:
            pytest.skip("the cluster does not see this folder: `shared_folder = False`")


def known(task: Task, native_id: str) -> Task:
    """The task, with one more native id."""
    ref = replace(task.ref, native_id=native_id)
    return replace(task, ref=ref, native_ids=(*task.native_ids, native_id))


def status(manager: Manager, ref: Ref) -> Status:
    """What the scheduler says of one submission."""
    return manager.get_status([ref])[ref]


def until(manager: Manager, ref: Ref, *kinds: Kind) -> Status:
    """Wait until a submission is one of these, and answer how it is then."""
    what = f"the submission {ref.native_id or ref.tag} is {' or '.join(kinds)}"
    seen: list[Status] = []

    def arrived() -> bool:
        seen.append(status(manager, ref))
        return seen[-1].kind in kinds

    eventually(arrived, what)
    return seen[-1]


def ran(task: Task) -> int:
    """How often a script that `COUNTS` was run."""
    counted = task.folder / "work" / "runs"
    return len(counted.read_text().splitlines()) if counted.exists() else 0


def until_it_runs(task: Task) -> None:
    """Wait until a script that `COUNTS` has begun."""
    eventually(
        lambda: ran(task),
        "the script runs, which is to be seen in its folder unless `shared_folder = False`",
    )


def let_end(task: Task) -> None:
    """Tell a script that `WAITS` to end; as 0, unless it says otherwise."""
    with suppress(FileNotFoundError):
        (task.folder / "work" / "stop").touch()


def _is_over_within(seconds: float, manager: Manager, task: Task) -> bool:
    ref = Ref(tag=task.ref.tag)

    def over() -> bool:
        return status(manager, ref).kind not in _ALIVE

    try:
        return eventually(over, "over", seconds)
    except Exception:  # an AssertionError, or whatever a manager raises that is being written
        return False
