"""Managers of one folder, and jobs for them; nothing of either outlives its test."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local_jobs import Make, Prepare, buried, wait_for
from opus_core.backends import Task
from opus_core.definition import JobDefinition
from opus_core.folder import Folders
from opus_core.job import DefinitionRef, Job, new_id, now
from opus_manager_local import LocalManager, LocalOptions
from opus_manager_local.processes import tree


@pytest.fixture
def tags() -> Iterator[list[str]]:
    """The tags of this test's jobs; what is left of them is killed, and buried if it was ours."""
    tags: list[str] = []
    yield tags
    for process in (process for tag in tags for process in tree(tag, None)):
        process.send(signal.SIGKILL)
    wait_for(buried)


@pytest.fixture
def make(tmp_path: Path, tags: list[str]) -> Iterator[Make]:
    """A callable that makes a manager on the same folder.

    They are closed before what is left is killed: one of them would start what waits.
    """
    made: list[LocalManager] = []

    def make(**options: object) -> LocalManager:
        wanted = {"folder": tmp_path / "local", "max_jobs": 2, "grace": 1, **options}
        made.append(LocalManager(LocalOptions(**wanted)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for manager in made:
        manager.close()


@pytest.fixture
def prepare(tmp_path: Path, tags: list[str]) -> Prepare:
    """A callable that writes a job's folder and answers its task."""
    folders = Folders(tmp_path / "jobs")

    def prepare(script: str, duration: int = 0) -> Task:
        definition = JobDefinition(name="test", script=script)
        job = Job(
            id=new_id(),
            definition=DefinitionRef("test", 1),
            created=now(),
            tag=f"opus-t-{new_id()}",
        )
        job = replace(job, execution_duration=duration)
        folders.write(job, definition, event=None, host="here", backends={})
        tags.append(str(job.tag))
        return folders.task(job, definition)

    return prepare
