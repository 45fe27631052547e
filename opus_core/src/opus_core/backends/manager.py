"""What talks to a scheduler."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from opus_core import links
from opus_core.backends.backend import Backend
from opus_core.backends.submission import Ref, Status, Task
from opus_core.definition import JobDefinition, ParameterDescription
from opus_core.errors import NotAllowed
from opus_core.links import Links


class Manager(Backend):
    """Hands jobs to a scheduler and reports what became of them. It never decides.

    It knows no HTTP, no UWS and no storage, and keeps nothing that a second instance in another
    process would miss, except under a folder it is given by its options. Only the supervisor
    calls it. What is submitted is the wrapper, `run` in the task's folder, by `bash run` with
    `OPUS_CLAIMANT` in its environment; the wrapper sees to it that the script runs once, so
    that submitting twice is harmless and losing an answer is, too.

    Four answers never stand in for each other: a state, GONE (asked, and it knows nothing),
    UNRECOGNISED (it said something else) and `BackendUnavailable` (it could not be asked).
    """

    parallel: int = 4
    """How many calls it bears at once. This and the next two may depend on the options: then
    `__init__` sets them."""

    visible_after: float = 0.0
    """Seconds a submission may take to be found by `find` after `start` was called [s]."""

    poll_interval: float = 30.0
    """How often `get_status` is worth asking where the configuration does not say [s]."""

    far: ClassVar[bool] = False
    """Whether scripts run on other machines than this: `opus check` then looks for no interpreter
    here, and for an address at which they reach the server."""

    can_resume: ClassVar[bool] = False
    """Whether `resume` can release what the scheduler holds."""

    @abstractmethod
    def start(self, task: Task) -> str:
        """Submit under `task.ref.tag`, kept in the scheduler's own record; answers a native id
        that outlives this process.

        Raises `SubmitRejected`: it will never run. `SubmitDeferred`: it was definitely not
        submitted, try later. `BackendUnavailable`: nothing is known of the outcome.
        """

    @abstractmethod
    def find(self, tags: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The native ids under each of the tags, oldest first; `()` only if there are definitely
        none (what was submitted within `visible_after` may still be missing).

        Raises `BackendUnavailable` if it cannot be told.
        """

    @abstractmethod
    def get_status(self, refs: Sequence[Ref]) -> dict[Ref, Status]:
        """One question for all; every ref is answered. A native id that answers under another
        tag is GONE. Raises `BackendUnavailable` if it could not ask; with `answers` for those refs
        that it can tell of all the same."""

    @abstractmethod
    def abort(self, ref: Ref) -> None:
        """Stop the submission and all it has started; by tag where there is no id.

        Idempotent, and no error for what is over or unknown. May return before it is dead.
        Raises `BackendUnavailable`.
        """

    def peek(self, tasks: Sequence[Task]) -> dict[str, Links]:
        """The links of each task's folder, by tag; never writes. Raises `BackendUnavailable`.

        This one looks into the folder itself; override it where that lies elsewhere.
        """
        return {task.ref.tag: links.peek(task.folder) for task in tasks}

    def seal(self, task: Task) -> Links:
        """Let nothing of the task begin any more, if it has not; the answer tells who won.

        Raises `BackendUnavailable`. This one works in the folder itself.
        """
        return links.seal(task.folder)

    def native_id(self, claimant: str) -> str:
        """The native id of the submission that made this claim; here the claimant itself.

        The wrapper's claimant need not be the native id, but must tell it.
        """
        return claimant

    def resume(self, ref: Ref) -> None:
        """Release what the scheduler holds; only called where `can_resume`.

        Raises `NotAllowed` if somebody else has to, `BackendUnavailable`.
        """
        raise NotAllowed(f"the {self.name} manager cannot release held jobs")

    def get_info(self, ref: Ref) -> dict[str, str]:
        """All the scheduler tells of it, for the curious; nothing of what is unknown.

        Raises `BackendUnavailable`.
        """
        return {}

    def get_output(self, tasks: Sequence[Task]) -> None:
        """Bring what is new of stdout, stderr and progress of each into its folder, while somebody
        reads there; in one go for all.

        This one has nothing to do. Raises `BackendUnavailable`.
        """

    def get_results(self, task: Task) -> None:
        """Bring results, stdout, stderr and exit into the folder; resumes where it was cut off.

        This one has nothing to do. Raises `BackendUnavailable`, or `ResultsLost` if trying again
        cannot help.
        """

    def delete(self, task: Task) -> None:
        """Forget the task and remove what lies of it on the cluster, never in `task.folder`.

        Idempotent; called when nothing of it can run any more, or right after `abort` for a job
        that nobody knows any longer. Raises `BackendUnavailable`.
        """

    def disown(self) -> None:
        """Forget all submissions that are known here, and touch none of them: all of this was
        copied from another installation, which goes on with them.

        Called by `opus init --new-instance`, while no supervisor acts; a `folder` of the options is
        within the copied data folder then, or empty. This one has nothing to do: a scheduler's own
        records are not copied. Raises `BackendUnavailable`.
        """

    def moved(self, tasks: Sequence[Task]) -> None:
        """The installation was moved to another place: the folders of all that was submitted and
        may not be over are where these say. Called by `opus init --adopt`, while no supervisor
        acts.

        This one has nothing to do; override it where folders are remembered. Raises
        `BackendUnavailable`.
        """

    @classmethod
    def run_options(cls, options: Any) -> tuple[ParameterDescription, ...]:  # noqa: ANN401
        """What a user may set for a run (memory, partition, ...), within the admin's limits.

        `options` is an instance of `Options`. No I/O: forms are made from it. What a user says
        arrives in `task.options`, checked, as text; nothing arrives of what was not said.
        """
        return ()

    def cp_script(self, definition: JobDefinition) -> None:
        """Send a published script ahead of time; this one need not."""
