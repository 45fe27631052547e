"""A small manager of processes: the reference that the saboteurs of `Manager` break.

A record a tag in one folder, no queue. Processes are told by a variable in their environment, so
that nothing a script starts is missed; they are children of nobody here, so that a second instance
knows as much as the first.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from opus_core import links
from opus_core.backends import Cause, Kind, Manager, Status
from opus_core.errors import BackendUnavailable, ConfigError, SubmitRejected

GRACE = 0.3  # [s] between TERM and KILL
LAUNCH = 'setsid bash "$1"/run </dev/null >/dev/null 2>&1 & echo $!'


@dataclass(frozen=True)
class ProcessOptions:
    folder: Path


class ProcessManager(Manager):
    name = "process"
    about = "Processes on this machine, for the tests"
    Options = ProcessOptions
    can_resume = True
    folders = "jobs"  # where the cluster has those of jobs, beside that of the manager

    def check(self):
        if self.options.folder.is_file():
            raise ConfigError(f"{self.options.folder} is a file; give a folder")

    # --- records ---

    @contextmanager
    def lock(self):
        self.reach()
        self.options.folder.mkdir(parents=True, exist_ok=True)
        with (self.options.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def reach(self):
        """Whether the "scheduler" can be asked."""
        if (self.options.folder / "down").exists():
            raise BackendUnavailable("the process manager is down; wait for it")

    def path(self, native_id):
        return self.options.folder / f"{native_id}.json"

    def write(self, record):
        draft = self.path("draft")
        draft.write_text(json.dumps(record))
        draft.rename(self.path(record["id"]))

    def records(self):
        found = [json.loads(one.read_text()) for one in self.options.folder.glob("[0-9]*.json")]
        return sorted(found, key=lambda record: int(record["id"]))

    def matching(self, ref):
        """The records that are meant by a ref: of its tag, and of its native id if it has one."""
        return [
            record
            for record in self.records()
            if record["tag"] == ref.tag and ref.native_id in (None, record["id"])
        ]

    # --- what a manager does ---

    def start(self, task):
        if not (task.folder / "run").exists():
            raise SubmitRejected(f"there is no job in {task.folder}")
        with self.lock():
            number = self.options.folder / "number"
            native_id = str(int(number.read_text()) + 1 if number.exists() else 1)
            number.write_text(native_id)
            record = {
                "id": native_id,
                "tag": task.ref.tag,
                "claimant": self.claimant(native_id),
                "folder": str(task.folder),
                "submitted": time.time(),
                "process": None,
                "birth": None,
                "held": task.options.get("hold") == "yes" or self.crowd().exists(),
                "aborted": False,
            }
            self.write(record)
            if not record["held"]:
                self.launch(record)
        return native_id

    # What is started while this file is there waits for `serve`.

    def crowd(self):
        return self.options.folder / "crowd"

    def serve(self):
        self.crowd().unlink()
        with self.lock():
            for record in self.records():
                if record["held"] and not record["aborted"]:
                    self.launch(record)

    def moved(self, tasks):
        with self.lock():
            for task in tasks:
                for record in self.matching(task.ref):
                    self.write({**record, "folder": str(task.folder)})

    def disown(self):
        with self.lock():
            for record in self.records():
                self.path(record["id"]).unlink()

    def launch(self, record):
        environment = {
            "PATH": os.environ["PATH"],
            "OPUS_CLAIMANT": record["claimant"],
            "OPUS_GRACE": "1",
            "KIT_TAG": record["tag"],
            "KIT_ID": record["id"],
        }
        command = ["bash", "-c", LAUNCH, "bash", record["folder"]]
        launched = subprocess.run(command, env=environment, capture_output=True, check=True)
        process = int(launched.stdout)
        state = stat(process)
        birth = state[19] if state else None
        self.write({**record, "held": False, "process": process, "birth": birth})

    def claimant(self, native_id):
        """A word for a submission; numbers come again once the folder is empty."""
        return f"{native_id}/{time.time_ns()}"

    def find(self, tags):
        with self.lock():
            records = self.records()
        return {tag: tuple(one["id"] for one in records if one["tag"] == tag) for tag in tags}

    def native_id(self, claimant):
        return claimant.partition("/")[0]

    def get_status(self, refs):
        with self.lock():
            return {ref: self.status(ref) for ref in refs}

    def status(self, ref):
        found = [self.look(record) for record in self.matching(ref)] or [Status(kind=Kind.GONE)]
        # Of several under one tag all have left but one.
        return next((one for one in found if one.kind is not Kind.ENDED), found[-1])

    def look(self, record):
        if record["held"] and not record["aborted"]:
            return Status(kind=Kind.HELD)
        alive = bool(processes(record))  # before the links: it makes the exit, and then ends
        found = links.peek(Path(record["folder"]))
        submitted = datetime.fromtimestamp(record["submitted"], UTC)
        if alive:
            return Status(kind=Kind.RUNNING, submitted=submitted)
        made = found.exit
        if made is None or made.claimant != record["claimant"]:
            cause = Cause.CANCELLED if record["aborted"] else Cause.LAUNCH
            return Status(kind=Kind.ENDED, cause=cause, submitted=submitted)
        cause = Cause.CANCELLED if made.reason else Cause.FAILED if made.code else Cause.OK
        return Status(
            kind=Kind.ENDED,
            cause=cause,
            exit_code=made.code,
            submitted=submitted,
            started=made.started,
            ended=made.ended,
        )

    def abort(self, ref):
        with self.lock():
            for record in self.matching(ref):
                self.stop(record)

    def stop(self, record):
        self.write({**record, "aborted": True})
        if record["process"] in processes(record):
            os.kill(record["process"], signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while record["process"] in processes(record) and time.monotonic() < deadline:
            time.sleep(0.01)
        while left := processes(record):
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.01)

    def resume(self, ref):
        with self.lock():
            for record in self.matching(ref):
                if record["held"]:
                    self.launch(record)

    def get_info(self, ref):
        with self.lock():
            matching = self.matching(ref)
        return {key: str(value) for record in matching for key, value in record.items()}

    def delete(self, task):
        with self.lock():
            for record in self.records():
                if record["tag"] == task.ref.tag:
                    self.path(record["id"]).unlink()


def processes(record):
    """The processes of a submission that are alive."""
    marks = {f"KIT_TAG={record['tag']}".encode(), f"KIT_ID={record['id']}".encode()}
    found = set()
    for process in (int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()):
        with suppress(OSError):
            marked = marks <= set(Path(f"/proc/{process}/environ").read_bytes().split(b"\0"))
            # A process that is just becoming another program has no environment.
            first = process == record["process"]
            if marked or first:
                state = stat(process)
                if state and state[0] not in "ZX" and (marked or state[19] == record["birth"]):
                    found.add(process)
    return found


def stat(process):
    """The state of a process and what follows it in /proc; its birth is the twentieth."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
