"""Jobs as processes on this machine: a few at once, the rest first in, first out.

All state is in one folder (`opus_manager_local.records`), so that any number of managers, in this
process or others, one after the other or at once, see the same jobs. A job is never a matter of
one process's memory: a record that has no claim and no live process is not running and is launched
again, and the claim in the job's folder sorts out what was launched twice.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from opus_core import disk
from opus_core.backends import Kind, Manager, Ref, Status, Task
from opus_core.errors import BackendUnavailable, ConfigError, SubmitDeferred, SubmitRejected
from opus_core.facts import about
from opus_manager_local import isolation, processes
from opus_manager_local.isolation import User
from opus_manager_local.launcher import spawn
from opus_manager_local.options import LocalOptions, check_bash, check_limits
from opus_manager_local.records import Launch, Record, Records
from opus_manager_local.view import View, look
from opus_manager_local.watcher import Watcher

log = logging.getLogger(__name__)

_MARGIN: Final = 5.0  # [s] the wrapper gets beyond the grace to write down how the script ended
_AGAIN: Final = 1.0  # [s] between KILLs of what does not die
_KILL_TIME: Final = 10.0  # [s]


class _Queue(NamedTuple):
    """How things stand at one moment."""

    active: int  # how many run
    waiting: list[int]  # the numbers of those that do not, first in first
    untouched: set[int]  # of these, for which nothing was launched so far
    views: dict[int, View]  # of the others that were looked at


class LocalManager(Manager):
    """Runs jobs as processes of the user that the supervisor runs as, or of another one."""

    name = "local"
    about = "runs jobs as processes on this machine, a few at once; for one machine or a trial"
    Options = LocalOptions
    parallel = 8
    visible_after = 0.0
    poll_interval = 1.0

    def __init__(self, options: LocalOptions) -> None:
        super().__init__(options)
        self._options = options
        self._records = Records(options.folder)
        self._watcher = Watcher(self._launch_waiting)
        # Numbers of what has ended, with a folder that says so: that never changes, and need not be
        # looked at again. A folder that is not there may be one that is not mounted.
        self._over: set[int] = set()
        # Roots of jobs' folders to which the user they run as has found the way.
        self._reached: set[Path] = set()

    def check(self) -> None:
        """Linux with pidfds, bash 4.2 or later, limits that can be set, a folder to write to, and
        what it takes to keep jobs apart as the options say."""
        if not hasattr(os, "pidfd_open") or not Path("/proc/self/stat").exists():
            raise ConfigError("the local manager needs Linux 5.4 or later with /proc mounted")
        check_bash()
        check_limits(self._options)
        isolation.check(self._options)
        try:
            with disk.noticing_full(self._options.folder), self._records.lock():
                pass
        except OSError as error:
            raise ConfigError(
                f"the local manager cannot write to {self._options.folder} ({error.strerror});"
                " set [manager] folder to one that is the server's own"
            ) from error

    def warnings(self) -> Sequence[str]:
        """Jobs that run as root."""
        return isolation.warnings(self._options)

    def close(self) -> None:
        """Stop watching; jobs go on."""
        self._watcher.close()

    def start(self, task: Task) -> str:
        """Write the record, which survives a power cut, and launch what there is room for."""
        if not (task.folder / "run").is_file():
            raise SubmitRejected(f"there is no job in the folder {task.folder}")
        self._open_way(task.folder)
        try:
            with self._records.lock():
                record = self._records.add(task.ref.tag, task.folder)
        except OSError as error:
            raise SubmitDeferred(
                f"the local manager cannot write to {self._options.folder}: {error.strerror}"
            ) from error
        self._launch_waiting()
        return str(record.number)

    def find(self, tags: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """One number or none for each tag."""
        try:
            numbers = self._records.numbers()
        except OSError as error:
            raise self._unavailable(error) from error
        return {tag: (str(numbers[tag]),) if tag in numbers else () for tag in tags}

    def native_id(self, claimant: str) -> str:
        """The number that a claim begins with."""
        return claimant.partition("/")[0]

    def get_status(self, refs: Sequence[Ref]) -> dict[Ref, Status]:
        """Look at the folder and the processes of each, and launch what waits for nothing."""
        try:
            numbers = self._records.numbers()
            queue = self._survey(numbers)
            if queue.waiting and queue.active < self._max_jobs:
                self._launch_waiting()
            places = {number: place for place, number in enumerate(queue.waiting, start=1)}
            found: dict[Ref, Status] = {}
            for ref in refs:
                view = self._look(ref, numbers, queue)
                if view is None:
                    found[ref] = Status(kind=Kind.GONE, native_state=Kind.GONE.value)
                    continue
                place = places.get(view.record.number, 1)
                of = max(len(places), place)
                found[ref] = self._status(view, f"place {place} of {of}")
            return found
        except OSError as error:
            raise self._unavailable(error) from error

    def get_info(self, ref: Ref) -> dict[str, str]:
        """Number, times, process and how often it was launched."""
        try:
            view = self._look(ref, self._records.numbers())
        except OSError as error:
            raise self._unavailable(error) from error
        if view is None:
            return {}
        info = {
            "number": str(view.record.number),
            "tag": view.record.tag,
            "submitted": view.record.submitted.isoformat(),
        }
        if view.launch:
            info |= {"process": str(view.launch.process), "launches": str(view.launch.tries)}
        return info

    def abort(self, ref: Ref) -> None:
        """Let it never be launched (again), and end its processes: TERM, and KILL after the grace
        and a margin in which the wrapper writes down how the script ended."""
        try:
            view = self._look(ref, self._records.numbers())
            if view is None:
                return
            with self._records.lock():
                # Nothing can be launched under the lock: what is not running now never will be.
                if self._records.read(view.record.number, view.record.tag) is None:
                    return
                self._records.note_abort(view.record.number)
                view = look(self._records, view.record)
        except OSError as error:
            raise self._unavailable(error) from error
        self._stop(view)

    def delete(self, task: Task) -> None:
        """Forget the record, after what may be left of its processes was killed."""
        try:
            view = self._look(Ref(tag=task.ref.tag), self._records.numbers())
            if view is None:
                return
            if not processes.kill_tree(view.record.tag, view.wrapper, _KILL_TIME):
                raise BackendUnavailable(
                    f"processes of local job {view.record.number} do not die; they may be waiting"
                    " for a disk"
                )
            with self._records.lock():
                self._records.remove(view.record)
        except OSError as error:
            raise self._unavailable(error) from error

    def disown(self) -> None:
        """Forget every record: what waits would be launched, in the original's folders."""
        try:
            with self._records.lock():
                self._records.clear()
        except OSError as error:
            raise self._unavailable(error) from error

    def moved(self, tasks: Sequence[Task]) -> None:
        """Look for jobs where they are now: those in the queue are launched there."""
        try:
            with self._records.lock():
                numbers = self._records.numbers()
                for task in tasks:
                    if task.ref.tag in numbers:
                        self._records.move(numbers[task.ref.tag], task.ref.tag, task.folder)
        except OSError as error:
            raise self._unavailable(error) from error

    def _open_way(self, folder: Path) -> None:
        """Let the user that jobs run as come to a job's folder. Raises `SubmitDeferred`."""
        user, root = self._user, folder.parents[1]
        if user is None:
            return
        isolation.open_way(folder)
        if root not in self._reached and not isolation.enters(user, root):
            raise SubmitDeferred(
                f"the user {user.name}, whom jobs run as, may not pass through the folders above"
                f" those of jobs; `chmod o+x` each folder from / to {root}"
            )
        self._reached.add(root)

    @cached_property
    def _user(self) -> User | None:
        return isolation.user_of(self._options)

    # --- the queue ---

    def _survey(self, numbers: Mapping[str, int]) -> _Queue:
        launched = self._records.launched()
        aborted = self._records.aborted()
        self._over &= set(numbers.values())
        active = 0
        waiting: list[int] = []
        untouched: set[int] = set()
        views: dict[int, View] = {}
        for tag, number in numbers.items():
            if number in self._over:
                continue
            if number not in launched:
                if number not in aborted:
                    waiting.append(number)
                    untouched.add(number)
                continue
            record = self._records.read(number, tag)
            if record is None:
                continue
            view = views[number] = look(self._records, record)
            if view.wrapper is not None:
                active += 1
                self._watcher.watch(view.wrapper)
            elif view.waiting:
                waiting.append(number)
            elif view.over:
                self._over.add(number)
        return _Queue(active, waiting, untouched, views)

    def _launch_waiting(self) -> None:
        """Launch the first in the queue while there is room; only one process does so at once.

        What cannot be launched now stays where it is, and get_status tries again.
        """
        try:
            with self._records.lock():
                numbers = self._records.numbers()
                tags = {number: tag for tag, number in numbers.items()}
                queue = self._survey(numbers)
                active = queue.active
                for number in queue.waiting:
                    if active >= self._max_jobs:
                        break
                    record = self._records.read(number, tags[number])
                    if record is not None:
                        active += self._launch(look(self._records, record))
        except (OSError, BackendUnavailable, ConfigError) as error:
            log.warning("no job could be launched: %s", error)

    def _launch(self, view: View) -> bool:
        """Launch one of the queue, if it really waits; whether it takes up room now."""
        number = view.record.number
        tries = view.launch.tries if view.launch else 0
        if view.waiting:
            process = spawn(view.record, self._options, self._records.log, self._user)
            tries += 1
        elif view.wrapper is not None:
            # Launched by somebody who was killed before that could be written down.
            process = view.wrapper
        else:
            if view.over:
                self._over.add(number)
            return False
        self._records.note_launch(number, Launch(process=process, tries=tries))
        self._watcher.watch(process)
        job_id = view.record.tag.rpartition("-")[2]  # seldom the one that is just being attended to
        log.info("launched", extra=about(job=job_id, native_id=number, process=str(process)))
        return True

    @property
    def _max_jobs(self) -> int:
        return self._options.max_jobs or len(os.sched_getaffinity(0))

    # --- one submission ---

    def _look(
        self, ref: Ref, numbers: Mapping[str, int], queue: _Queue | None = None
    ) -> View | None:
        """`queue`: as it was found a moment ago."""
        number = numbers.get(ref.tag)
        if number is None or ref.native_id not in (None, str(number)):
            return None
        if queue is not None and number in queue.views:
            return queue.views[number]
        record = self._records.read(number, ref.tag)
        if record is None:
            return None
        untouched = queue is not None and number in queue.untouched
        return look(self._records, record, untouched=untouched)

    def _status(self, view: View, place: str) -> Status:
        """What `view` says; but while processes of an ended job live, it is not over."""
        status = view.status(place)
        if status.kind is not Kind.ENDED or not (view.aborted or view.dead) or not view.launch:
            return status
        if view.dead:
            # Only the wrapper could have written down how the script ends: it is of no use now.
            for process in processes.tree(view.record.tag, None):
                process.send(signal.SIGKILL)
        if not processes.tree(view.record.tag, None):
            return status
        return replace(
            status, kind=Kind.RUNNING, cause=None, reason="its processes are being stopped"
        )

    def _stop(self, view: View) -> None:
        # The wrapper first, so that it knows why its script ends.
        for process in processes.tree(view.record.tag, view.wrapper):
            process.send(signal.SIGTERM)
        self._kill_later(view.record)

    def _kill_later(self, record: Record) -> None:
        aborted = self._records.aborted_at(record.number)
        if aborted is not None:
            left = self._options.grace + _MARGIN - (time.time() - aborted)
            self._watcher.later(max(_AGAIN, left), lambda: self._kill(record))

    def _kill(self, record: Record) -> None:
        """KILL what is left; the wrapper after another margin, since it may be moving results."""
        aborted = self._records.aborted_at(record.number)
        view = look(self._records, record)
        found = processes.tree(record.tag, view.wrapper)
        if aborted is None or not found:
            return
        hopeless = time.time() - aborted > self._options.grace + 2 * _MARGIN
        for process in found:
            if hopeless or process != view.wrapper:
                process.send(signal.SIGKILL)
        self._kill_later(record)

    def _unavailable(self, error: OSError) -> BackendUnavailable:
        return BackendUnavailable(
            f"the local manager cannot use its folder {self._options.folder}: {error.strerror}"
        )
