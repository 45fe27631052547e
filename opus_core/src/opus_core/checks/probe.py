"""A small job that `opus check --probe` sends the way of all jobs, to see whether that is open."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from opus_core import job as jobs
from opus_core.backends import Kind, Links, Manager, Status, Task
from opus_core.checks.installation import Installation
from opus_core.datadir import DataDir
from opus_core.definition import GeneratedDescription, JobDefinition
from opus_core.errors import OpusError
from opus_core.finding import Code, Finding, State, ok
from opus_core.folder import Folders
from opus_core.job import DefinitionRef, Job, Phase, Work
from opus_core.supervisor import check_instance

_SAYS: Final = "the cluster can write to the folders of jobs"
_SCRIPT: Final = f'echo "{_SAYS}" > "$answer"\nhostname\n'
_PATIENCE: Final = 120.0  # [s] for each step
_LOOK: Final = 0.5  # [s]


FAILED: Final = Code(
    "probe-failed",
    State.ERROR,
    "With `--probe`: a small job did not come through; the sentence says at which step.",
    "See `docs/admin/slurm.md`, `docs/admin/local.md`.",
)


def findings(installation: Installation) -> Iterator[Finding]:
    """What `--probe` adds."""
    manager, folders, data_dir = installation.manager, installation.folders, installation.data_dir
    storage = installation.storage
    if manager is None or folders is None or data_dir is None or storage is None:
        yield FAILED("probe", "no job was sent, for lack of what is told of above; mend that first")
        return
    try:
        check_instance(data_dir, storage)  # a copy must not make anything start
        for sentence in probe(manager, folders, data_dir):
            yield ok("probe", sentence)
    except OpusError as error:
        yield FAILED("probe", error.sentence)


def probe(manager: Manager, folders: Folders, data_dir: DataDir) -> Iterator[str]:
    """Submit a job that is in no list, follow it to its end, fetch its result, remove it.

    Answers a sentence for each step that has worked. Raises `OpusError` for the first that has
    not; what there is of the job is removed all the same.
    """
    definition = JobDefinition(
        name="probe",
        script=_SCRIPT,
        generated=(GeneratedDescription(name="answer", required=True),),
        execution_duration=60,
    )
    job = _job(data_dir)
    folders.write(job, definition, event=None, host=socket.gethostname(), backends={})
    task = folders.task(job, definition)
    try:
        begin = time.monotonic()
        native_id = manager.start(task)
        yield f"a job was submitted as {native_id} in {time.monotonic() - begin:.1f} s"
        task = replace(task, ref=replace(task.ref, native_id=native_id), native_ids=(native_id,))
        links = _until(lambda: _look(manager, task))
        yield f"it has run, {time.monotonic() - begin:.1f} s after that began"
        if links.exit is None or links.exit.code != 0:
            raise OpusError(f"its script ended badly: {links.exit}")
        manager.get_results(task)
        with folders.open_file(job.id, "results", "answer")[0] as file:
            if file.read().decode().strip() != _SAYS:
                raise OpusError("its result is not what the script wrote")
        with folders.open_file(job.id, "stdout")[0] as file:
            host = file.read(256).decode("utf-8", "replace").strip()
        yield f"its result is here; it ran on {host}"
    finally:
        with suppress(OpusError):  # the first error is the one to tell
            manager.abort(replace(task.ref, native_id=None))
            manager.delete(task)
        folders.remove(job.id)


def _job(data_dir: DataDir) -> Job:
    job_id = jobs.new_id()
    return Job(
        id=job_id,
        definition=DefinitionRef("probe", 1),
        created=jobs.now(),
        phase=Phase.QUEUED,
        work=Work.STARTING,
        tag=f"opus-{data_dir.instance.word}-{job_id}",
        submitted_at=jobs.now(),
        execution_duration=60,
    )


def _look(manager: Manager, task: Task) -> Links | None:
    """The links once there is an exit. Raises `OpusError` if there never will be."""
    links = manager.peek([task])[task.ref.tag]
    if links.exit is not None:
        return links
    status = manager.get_status([task.ref])[task.ref]
    if status.kind is Kind.ENDED and manager.peek([task])[task.ref.tag].exit is None:
        raise OpusError(
            f"it is over ({_said(status)}), but its folder does not show it; a cluster that does"
            f" not see {task.folder} as this machine does cannot be used so"
        )
    if status.kind is Kind.HELD:
        raise OpusError(f"it is held: {_said(status)}")
    return None


def _said(status: Status) -> str:
    return status.reason or status.native_state


def _until(look: Callable[[], Links | None]) -> Links:
    deadline = time.monotonic() + _PATIENCE
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise OpusError(f"it has not ended within {_PATIENCE:g} s; the queue may be long")
        time.sleep(_LOOK)
    return found
