"""A whole installation that moves one step at a time: no threads, no processes, no real time.

The supervisor is the real one, its parts are called one after the other; folders and links are
real, the storage is in memory. The cluster and its wrappers are played, and what happens in the
middle of a call of the supervisor's can be chosen: somebody else acts, or it is killed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

from core.helpers.site import WatchedStorage
from json_jdl import JsonJdl
from opus_core import lifecycle
from opus_core.backends import SUPERVISOR, Cause, Kind, Manager, Ref, Status, Task
from opus_core.datadir import open_data_dir
from opus_core.definition import GeneratedDescription, JobDefinition
from opus_core.definitions import Catalogue
from opus_core.errors import BackendUnavailable, SubmitDeferred, SubmitRejected
from opus_core.folder import Folders
from opus_core.job import Job, Work, cut
from opus_core.supervisor import Settings, Supervisor
from opus_core.supervisor.tenure import NotActing
from opus_core.testing.memory import MemoryOptions, MemoryStorage

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)
FIT = JobDefinition(
    name="fit", script="echo 1 > plot\n", generated=(GeneratedDescription(name="plot"),)
)


class Killed(BaseException):
    """As by kill -9: no part of the supervisor catches it."""


@dataclass
class Submission:
    """What the cluster has, and how far its wrapper has come."""

    native_id: str
    tag: str
    job_id: str
    folder: Path
    since: datetime
    said: list[Status] = field(default_factory=list)  # oldest first, the last one true
    step: str = "waits"  # waits, claimed, runs, over
    cancelled: bool = False

    def become(self, step: str, kind: Kind, cause: Cause | None = None) -> None:
        self.step = step
        self.said.append(Status(kind=kind, cause=cause))


class Clockwork:
    """One installation."""

    def __init__(self, folder: Path) -> None:
        self.storage = KillingStorage(self)
        self.folders = Folders(folder / "jobs")
        self.catalogue = Catalogue(folder / "data" / "definitions", JsonJdl(None), ())
        self.data_dir = open_data_dir(folder / "data")
        self.submissions: dict[str, Submission] = {}
        self.on_the_way: list[Task] = []  # submissions that the cluster has not got yet
        self.runs: Counter[str] = Counter()  # scripts that have begun, by job
        self.too_late: list[str] = []  # jobs whose script began when that was impossible
        self.ended: dict[str, tuple[int, str]] = {}  # code and reason of the exit, by job
        self.answered: dict[str, set[str]] = {}  # ids that `start` has told, by job
        self.starts: list[str] = []  # what the next calls of `start` come to
        self.answers: list[str] = []  # how true the next statuses are
        self.down: Counter[str] = Counter()  # calls that are not answered, by method
        self.meanwhile: list[Callable[[], None]] = []  # in the middle of the next calls
        self.left: int | None = None  # acts that the supervisor has before it is killed
        self.stale: Supervisor | None = None  # it believes that it still holds the lease
        self._patches = ExitStack()
        self._patches.enter_context(mock.patch("os.fsync"))
        self._patches.enter_context(mock.patch.object(self.storage.universe, "now", self.now))
        self._patches.enter_context(mock.patch("opus_core.job.now", self.present))
        self.definition = self.catalogue.publish(FIT, "tests")
        self.supervisor = self._supervisor()

    def close(self) -> None:
        self._patches.close()
        MemoryStorage.forget(self.storage.options.universe)

    def now(self) -> datetime:
        return BEGIN + self.storage.universe.ahead

    def present(self) -> datetime:
        return cut(self.now())

    def act(self) -> None:
        """The supervisor has done something that shows: now others may act, or it is killed."""
        if self.meanwhile:
            self.meanwhile.pop(0)()
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed

    # -- jobs, and what users do

    def create(self, *, run: bool) -> str:
        job_id = f"{len(self.storage.universe.created):032x}"
        job = Job(id=job_id, definition=self.definition, created=self.present(), manager="played")
        if run:
            job = self._run(job)
        self.storage.add(job)
        return job_id

    def _run(self, job: Job) -> Job:
        tag = f"opus-x-{job.id}"
        return lifecycle.run(job, now=self.present(), tag=tag, can_resume=True)

    def ask(self, job_id: str, rule: Callable[[Job], Job]) -> None:
        """What the web does, which does not find what is deleted."""
        row = self.storage.universe.rows.get(job_id)
        if row is None or row.job.doomed:
            return
        with suppress(lifecycle.NotAllowed):
            wanted = rule(row.job)
            if wanted != row.job:
                # Past the supervisor's own storage, which counts what it does itself.
                WatchedStorage.save(self.storage, wanted, expected=row.job.version)

    def run(self, job_id: str) -> None:
        self.ask(job_id, self._run)

    def abort(self, job_id: str) -> None:
        self.ask(job_id, lambda job: lifecycle.abort(job, now=self.present()))

    def delete(self, job_id: str) -> None:
        self.ask(job_id, lambda job: lifecycle.doom(job, now=self.present()))

    def destroy(self, job_id: str) -> None:
        present = self.present()
        self.ask(job_id, lambda job: lifecycle.set_destruction(job, present, latest=None))

    # -- the supervisor

    def _supervisor(self) -> Supervisor:
        universe = self.storage.universe
        if SUPERVISOR in universe.leases:
            self.storage.release(SUPERVISOR, universe.leases[SUPERVISOR].holder)
        made = Supervisor(
            storage=self.storage,
            manager=PlayedManager(self),
            catalogue=self.catalogue,
            folders=self.folders,
            data_dir=self.data_dir,
            settings=Settings(
                policy=lifecycle.Policy(grace=90.0), archive=True, lease_seconds=86400.0
            ),
        )
        for pool in made._pools:
            pool.stop()
        for name in ("_input_pool", "_submit_pool", "_fetch_pool", "_reap_pool"):
            setattr(made, name, AtOnce())
        made._pools = ()
        made._tenure._renew()
        return made

    def step(self, part: str, supervisor: Supervisor | None = None) -> None:
        """Let a part of the supervisor do what it finds to do."""
        acting = supervisor or self.supervisor
        self.answered.clear()
        try:
            with suppress(NotActing):
                if part == "reap":
                    acting._reaper.destroy_expired()
                    return
                if part == "drive":
                    acting._penalties.clear()
                    acting._dispatch()
                acting._poller._next_look = 0.0
                questions = acting._poller._questions
                questions.next_poll = 0.0 if part == "poll" else float("inf")
                acting._poller._turn()
        except Killed:
            self.answered.clear()
            self.restart()
        if supervisor is not None:
            self.answered.clear()

    def restart(self) -> None:
        """It is killed, and another one begins with what is stored."""
        self.left = None
        self.supervisor = self._supervisor()

    def replace(self) -> None:
        """Another one takes over, and this one does not know it yet."""
        self.stale = self.supervisor
        self.supervisor = self._supervisor()

    # -- the cluster

    def submit(self, task: Task) -> str:
        return self._submit(task.ref.tag, task.job_id, task.folder)

    def submit_again(self, one: Submission) -> str:
        return self._submit(one.tag, one.job_id, one.folder)

    def _submit(self, tag: str, job_id: str, folder: Path) -> str:
        native_id = str(len(self.submissions) + 1)
        one = Submission(native_id, tag, job_id, folder, self.now())
        one.become("waits", Kind.QUEUED)
        self.submissions[native_id] = one
        return native_id

    def advance(self, one: Submission, code: int) -> None:
        """The wrapper of a submission takes its next step, as wrapper.sh does."""
        if one.step == "over" or not (one.folder / "run").exists():
            one.become("over", Kind.ENDED, Cause.CANCELLED if one.cancelled else Cause.OK)
        elif one.step == "waits":
            if _link(one.native_id, one.folder / "claim") == one.native_id:
                one.become("claimed", Kind.RUNNING)
            else:
                one.become("over", Kind.ENDED, Cause.OK)
        elif one.step == "claimed":
            me = f"node/{one.native_id}/{len(one.said)}"
            standing = _link(me, one.folder / "started")
            if standing == me and not one.cancelled:
                self.runs[one.job_id] += 1
                row = self.storage.universe.rows.get(one.job_id)
                done = (Work.NONE, Work.ENDED, Work.RELEASED)
                if row is None or row.job.phase.over or row.job.work in done:
                    self.too_late.append(one.job_id)
                one.become("runs", Kind.RUNNING)
                return
            if standing not in (me, "sealed"):
                self._exit(one, 1, "requeued")
            one.become("over", Kind.ENDED, Cause.CANCELLED if one.cancelled else Cause.OK)
        else:
            if one.cancelled:
                self._exit(one, 143, "term")
            else:
                (one.folder / "results" / "plot").write_text("1\n")
                self._exit(one, code, "")
            cause = Cause.CANCELLED if one.cancelled else Cause.FAILED if code else Cause.OK
            one.become("over", Kind.ENDED, cause)

    def _exit(self, one: Submission, code: int, reason: str) -> None:
        seconds = (self.now() - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
        lines = [f"claimant={one.native_id}", f"code={code}", f"reason={reason}"]
        draft = one.folder / f".exit-{one.native_id}"
        draft.write_text("\n".join([*lines, f"ended={seconds}", "end=exit", ""]))
        with suppress(FileExistsError):
            os.link(draft, one.folder / "exit")
            self.ended[one.job_id] = (code, reason)

    def requeue(self, one: Submission) -> None:
        """Its node fails, and the cluster puts it into the queue again, or so it says."""
        if one.step in ("claimed", "runs"):
            one.become("waits", Kind.QUEUED)

    def lose(self, one: Submission) -> None:
        """Its node fails, and it is over."""
        if one.step != "over":
            one.become("over", Kind.ENDED, Cause.NODE)

    def suspend(self, one: Submission) -> None:
        if one.step in ("claimed", "runs"):
            one.become(one.step, Kind.SUSPENDED)

    def hold(self, one: Submission) -> None:
        if one.step == "waits":
            one.become("waits", Kind.HELD)


class AtOnce:
    """Instead of a pool of threads."""

    under_way: frozenset[str] = frozenset()

    def give(self, name: str, task: Callable[[], None], whose: str = "") -> bool:
        task()
        return True


class KillingStorage(WatchedStorage):
    """After a save of the supervisor's others may act, or it may be killed."""

    def __init__(self, world: Clockwork) -> None:
        super().__init__(MemoryOptions(universe=f"clockwork {id(world)}"))
        self._world = world

    def save(self, job: Job, *, expected: int, due: float | None = 0.0, **more) -> Job:
        saved = super().save(job, expected=expected, due=due, **more)
        self._world.act()
        return saved


class PlayedManager(Manager):
    """Answers as the test says: late, out of order, wrongly, or not at all."""

    name = "played"
    about = "A cluster that is played."
    visible_after = 5.0
    can_resume = True

    def __init__(self, world: Clockwork) -> None:
        super().__init__(None)
        self._world = world

    def _called(self, method: str) -> None:
        self._world.act()
        if self._world.down[method] > 0:
            self._world.down[method] -= 1
            raise BackendUnavailable("the cluster does not answer")

    def start(self, task: Task) -> str:
        self._called("start")
        world = self._world
        outcome = world.starts.pop(0) if world.starts else "submitted"
        if outcome == "deferred":
            raise SubmitDeferred("the queue is full")
        if outcome == "rejected":
            raise SubmitRejected("no such partition")
        if outcome == "mistaken":
            raise RuntimeError("a mistake of the plugin")
        if outcome == "late":
            world.on_the_way.append(task)
        if outcome in ("late", "never"):
            raise BackendUnavailable("no answer")
        native_id = world.submit(task)
        world.act()
        if outcome == "lost":
            raise BackendUnavailable("the answer was lost")
        world.answered.setdefault(task.job_id, set()).add(native_id)
        return native_id

    def find(self, tags: Sequence[str]) -> dict[str, tuple[str, ...]]:
        self._called("find")
        visible = self._world.now() - timedelta(seconds=self.visible_after)
        every = self._world.submissions.values()
        return {
            tag: tuple(one.native_id for one in every if one.tag == tag and one.since <= visible)
            for tag in tags
        }

    def get_status(self, refs: Sequence[Ref]) -> dict[Ref, Status]:
        self._called("get_status")
        return {ref: self._status(ref) for ref in refs}

    def _status(self, ref: Ref) -> Status:
        one = self._world.submissions.get(ref.native_id or "")
        answers = self._world.answers
        how = answers.pop(0) if answers else "true"
        if how == "gone" or one is None or one.tag != ref.tag:
            return Status(kind=Kind.GONE)
        if how == "unrecognised":
            return Status(kind=Kind.UNRECOGNISED, native_state="?")
        return one.said[0 if how == "first" else max(0, len(one.said) - 2) if how == "late" else -1]

    def peek(self, tasks):
        self._called("peek")
        return super().peek(tasks)

    def seal(self, task):
        self._called("seal")
        sealed = super().seal(task)
        self._world.act()
        return sealed

    def abort(self, ref: Ref) -> None:
        self._called("abort")
        for one in self._world.submissions.values():
            if one.tag == ref.tag and ref.native_id in (None, one.native_id):
                one.cancelled = True
                if one.step == "waits":
                    one.become("over", Kind.ENDED, Cause.CANCELLED)
        self._world.act()

    def resume(self, ref: Ref) -> None:
        self._called("resume")
        for one in self._world.submissions.values():
            if one.tag == ref.tag and one.said[-1].kind is Kind.HELD:
                one.become("waits", Kind.QUEUED)

    def get_results(self, task: Task) -> None:
        self._called("get_results")

    def delete(self, task: Task) -> None:
        self._called("delete")


def _link(target: str, name: Path) -> str:
    """The target that the link has now, whoever made it; empty where there is no folder."""
    with suppress(FileExistsError, FileNotFoundError):
        os.symlink(target, name)
    try:
        return os.readlink(name)
    except FileNotFoundError:
        return ""
