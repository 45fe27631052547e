"""A small cluster that really runs wrappers, and whose faults can be switched on."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from opus_core.backends import Cause, Kind, Manager, Ref, Status, Task
from opus_core.errors import BackendUnavailable

Fault = Callable[[Task, Callable[[], str]], str]
"""Instead of a plain submission: it gets the task and what submits it."""


@dataclass
class Submission:
    """What the cluster remembers of one submission."""

    native_id: str
    tag: str
    folder: Path
    submitted: float = field(default_factory=time.monotonic)
    process: subprocess.Popen[bytes] | None = None
    cancelled: bool = False
    held: bool = False

    def begin(self) -> None:
        """Run the wrapper, as a scheduler does on a node."""
        environment = {
            **os.environ,
            "OPUS_CLAIMANT": self.native_id,
            "OPUS_FOLDER": str(self.folder),
            "OPUS_GRACE": "1",
            "OPUS_TAG": self.tag,
        }
        self.process = subprocess.Popen(
            ["bash", self.folder / "run"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill(self) -> None:
        """Lose the node: the wrapper, its script and all."""
        if self.process is None:
            return
        # The wrapper first, or it would write down how its script ended.
        for group in (self.process.pid, *_children(self.process.pid)):
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()

    def status(self) -> Status:
        """What a scheduler says of it."""
        if self.process is None:
            if self.cancelled:
                return Status(kind=Kind.ENDED, cause=Cause.CANCELLED)
            return Status(kind=Kind.HELD if self.held else Kind.QUEUED)
        code = self.process.poll()
        if code is None:
            return Status(kind=Kind.RUNNING)
        cause = Cause.CANCELLED if self.cancelled else Cause.FAILED if code else Cause.OK
        return Status(kind=Kind.ENDED, cause=cause)


class Cluster:
    """What all managers that talk to it share, as a scheduler outlives every client."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.submissions: dict[str, Submission] = {}
        self.numbers = itertools.count(1)
        self.calls: Counter[str] = Counter()
        self.sought: Counter[str] = Counter()  # tags, by `find`
        self.deleted: list[str] = []
        self.runs_at_once = True  # False: submissions stay QUEUED until `begin`
        self.down = False  # True: it cannot be asked or told anything
        self.lag = 0.0  # [s] until a submission is visible
        self.fault: Fault | None = None  # of `start`
        self.broken: dict[str, Exception] = {}  # raised by the method of that name
        self.says: dict[str, Status] = {}  # by native id, instead of the truth
        self.open = threading.Event()  # cleared: `start` hangs
        self.delivers = threading.Event()  # cleared: `get_results` hangs
        self.hanging = threading.Semaphore(0)  # released by whoever begins to hang
        self.open.set()
        self.delivers.set()

    def submit(self, task: Task) -> str:
        """Take a submission, and run it if there is room."""
        with self.lock:
            native_id = str(next(self.numbers))
            one = Submission(native_id, task.ref.tag, task.folder)
            self.submissions[native_id] = one
            if self.runs_at_once:
                one.begin()
            return native_id

    def under(self, tag: str) -> list[Submission]:
        """All submissions under a tag, oldest first."""
        with self.lock:
            return [one for one in self.submissions.values() if one.tag == tag]

    def begin(self, tag: str) -> None:
        """Run what is queued under a tag."""
        for one in self.under(tag):
            if one.process is None and not one.cancelled:
                one.begin()

    def close(self) -> None:
        """End everything."""
        self.open.set()
        self.delivers.set()
        for one in self.submissions.values():
            one.kill()


class SmallManager(Manager):
    """A manager of a `Cluster`; any number of them may talk to one."""

    name = "small"
    about = "Runs wrappers as processes of the tests."
    parallel = 2
    poll_interval = 0.05
    can_resume = True

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(None)
        self.cluster = cluster

    def _called(self, method: str) -> None:
        cluster = self.cluster
        with cluster.lock:
            cluster.calls[method] += 1
        if method in cluster.broken:
            raise cluster.broken[method]
        if cluster.down:
            raise BackendUnavailable("the cluster does not answer")

    def start(self, task: Task) -> str:
        self._called("start")
        cluster = self.cluster
        if not cluster.open.is_set():
            cluster.hanging.release()
            cluster.open.wait(60)
        if cluster.fault is not None:
            return cluster.fault(task, lambda: cluster.submit(task))
        return cluster.submit(task)

    def find(self, tags: Sequence[str]) -> dict[str, tuple[str, ...]]:
        self.cluster.sought.update(tags)
        self._called("find")
        visible = time.monotonic() - self.cluster.lag
        return {
            tag: tuple(one.native_id for one in self.cluster.under(tag) if one.submitted <= visible)
            for tag in tags
        }

    def get_status(self, refs: Sequence[Ref]) -> dict[Ref, Status]:
        self._called("get_status")
        return {ref: self._status(ref) for ref in refs}

    def _status(self, ref: Ref) -> Status:
        with self.cluster.lock:
            said = self.cluster.says.get(ref.native_id or "")
            one = self.cluster.submissions.get(ref.native_id or "")
            if said is not None:
                return said
            if one is None or one.tag != ref.tag:
                return Status(kind=Kind.GONE)
            return one.status()

    def peek(self, tasks):
        self._called("peek")
        return super().peek(tasks)

    def seal(self, task):
        self._called("seal")
        return super().seal(task)

    def abort(self, ref: Ref) -> None:
        self._called("abort")
        with self.cluster.lock:
            for one in self.cluster.under(ref.tag):
                if ref.native_id in (None, one.native_id):
                    one.cancelled = True
                    if one.process is not None and one.process.poll() is None:
                        one.process.send_signal(signal.SIGTERM)

    def resume(self, ref: Ref) -> None:
        self._called("resume")
        for one in self.cluster.under(ref.tag):
            one.held = False

    def get_output(self, tasks: Sequence[Task]) -> None:
        self._called("get_output")

    def get_info(self, ref: Ref) -> dict[str, str]:
        self._called("get_info")
        return {"partition": "short"}

    def get_results(self, task: Task) -> None:
        self._called("get_results")
        if not self.cluster.delivers.is_set():
            self.cluster.hanging.release()
            self.cluster.delivers.wait(60)

    def delete(self, task: Task) -> None:
        self._called("delete")
        with self.cluster.lock:
            self.cluster.deleted.append(task.ref.tag)


def _children(pid: int) -> set[int]:
    """The process groups of all that a process has started."""
    found: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(entry.parent.name)
            found |= {int(fields[2]), *_children(child)} - {0, 1}
    return found
