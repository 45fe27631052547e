"""WAIT, as UWS 1.1 section 2.2.1.2 has it: it may block, and never for too long."""

from __future__ import annotations

import threading
import time
import uuid

import pytest

from core.helpers.door import ANN, Door
from opus_core import waiting
from opus_core.errors import (
    UnknownJob,
)
from opus_core.job import Job, Phase
from opus_core.queries import Wait
from opus_core.sections import Jobs
from opus_core.testing.memory import MemoryStorage
from opus_core.waiting import Watcher


@pytest.fixture
def door(tmp_path, monkeypatch):
    monkeypatch.setattr(waiting, "_CYCLE", 0.1)  # the watcher is waited for at the end
    universe = uuid.uuid4().hex
    door = Door(tmp_path, universe)
    yield door
    door.watcher.close()
    MemoryStorage.forget(universe)


# -- waiting, UWS 1.1 section 2.2.1.2


def timed(call) -> tuple[Job, float]:
    begin = time.monotonic()
    return call(), time.monotonic() - begin


@pytest.mark.uws
def test_wait_returns_when_its_time_is_up(door: Door) -> None:
    job = door.create()
    answer, took = timed(lambda: door.service.wait(ANN, "fit", job.id, Wait(seconds=1)))
    assert answer.phase is Phase.PENDING
    assert 1 <= took < 3


@pytest.mark.uws
@pytest.mark.parametrize("seconds", [30, -1])
def test_wait_returns_the_new_phase_when_it_changes(door: Door, seconds: int) -> None:
    job = door.create()
    timer = threading.Timer(0.2, lambda: door.service.run(ANN, "fit", job.id))
    timer.start()
    answer, took = timed(lambda: door.service.wait(ANN, "fit", job.id, Wait(seconds=seconds)))
    timer.join()
    assert answer.phase is Phase.QUEUED
    assert took < 5


@pytest.mark.uws
@pytest.mark.parametrize(
    "phase", sorted(set(Phase) - {Phase.PENDING, Phase.QUEUED, Phase.EXECUTING})
)
def test_wait_blocks_in_pending_queued_and_executing_alone(door: Door, phase: Phase) -> None:
    job = door.set(door.create(), phase=phase)
    answer, took = timed(lambda: door.service.wait(ANN, "fit", job.id, Wait(seconds=30)))
    assert answer == job
    assert took < 5


@pytest.mark.uws
def test_wait_returns_at_once_if_the_job_is_in_another_phase_than_believed(door: Door) -> None:
    job = door.create(("PHASE", "RUN"))
    believed = Wait(seconds=30, phase=Phase.PENDING)
    answer, took = timed(lambda: door.service.wait(ANN, "fit", job.id, believed))
    assert answer.phase is Phase.QUEUED
    assert took < 5
    right = Wait(seconds=1, phase=Phase.QUEUED)
    _, took = timed(lambda: door.service.wait(ANN, "fit", job.id, right))
    assert took >= 1


@pytest.mark.parametrize("seconds", [-1, 3600])
def test_wait_is_capped_by_the_site(door: Door, seconds: int) -> None:
    job = door.create()
    service = door.made(Jobs(max_wait=1))
    _, took = timed(lambda: service.wait(ANN, "fit", job.id, Wait(seconds=seconds)))
    assert 1 <= took < 5


def test_wait_goes_on_when_something_else_than_the_phase_changes(door: Door) -> None:
    job = door.create()
    timer = threading.Timer(0.1, lambda: door.service.set_execution_duration(ANN, "fit", job.id, 9))
    timer.start()
    answer, took = timed(lambda: door.service.wait(ANN, "fit", job.id, Wait(seconds=1)))
    timer.join()
    assert took >= 1
    assert answer.execution_duration == 9, "the answer shows the job as it is now"


def test_wait_without_a_slot_answers_at_once(door: Door) -> None:
    job = door.create()
    door.watcher = Watcher(door.storage, slots=0, per_user=0)
    _, took = timed(lambda: door.made().wait(ANN, "fit", job.id, Wait(seconds=30)))
    assert took < 5


def test_a_job_deleted_while_somebody_waits_is_unknown(door: Door) -> None:
    job = door.create()
    timer = threading.Timer(0.1, lambda: door.service.delete(ANN, "fit", job.id))
    timer.start()
    with pytest.raises(UnknownJob):
        door.service.wait(ANN, "fit", job.id, Wait(seconds=30))
    timer.join()


def test_closing_ends_every_wait(door: Door) -> None:
    job = door.create()
    timer = threading.Timer(0.1, door.watcher.close)
    timer.start()
    _, took = timed(lambda: door.service.wait(ANN, "fit", job.id, Wait(seconds=30)))
    timer.join()
    assert took < 5
