"""What a user can do with a job that exists, alone or at the same time as others."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import timedelta

import pytest

from core.helpers.door import ANN, TABLE, Door
from opus_core import waiting
from opus_core.datadir import open_data_dir
from opus_core.errors import (
    BadRequest,
    Conflict,
    NotAllowed,
    NotFound,
)
from opus_core.forms import Form
from opus_core.job import Job, Mark, Phase, Work, now
from opus_core.testing.memory import MemoryStorage
from opus_core.testing.timing import eventually, together
from opus_core.waiting import Watcher


@pytest.fixture
def door(tmp_path, monkeypatch):
    monkeypatch.setattr(waiting, "_CYCLE", 0.1)  # the watcher is waited for at the end
    universe = uuid.uuid4().hex
    door = Door(tmp_path, universe)
    yield door
    door.watcher.close()
    MemoryStorage.forget(universe)


# -- run, abort, delete


def test_run_wants_a_pending_job_and_wakes_the_supervisor(door: Door) -> None:
    job = door.create()
    queued = door.service.run(ANN, "fit", job.id)
    assert (queued.phase, queued.work) == (Phase.QUEUED, Work.WANTED)
    assert door.woken == 1
    with pytest.raises(NotAllowed, match="make a new one"):
        door.service.run(ANN, "fit", job.id)


def test_a_job_is_run_by_the_manager_of_today(door: Door) -> None:
    job = door.create()
    assert door.made(manager="slurm").run(ANN, "fit", job.id).manager == "slurm"
    held = door.executing()
    door.set(held, phase=Phase.HELD)
    resumed = door.made(manager="slurm").run(ANN, "fit", held.id)
    assert resumed.manager == "small", "a job stays with the manager that has it"
    assert resumed.marks == {Mark.RESUME_REQUESTED}


def test_a_withdrawn_description_takes_no_jobs_but_lets_those_go_on_that_run(door: Door) -> None:
    pending, published = door.create(), door.catalogue.published("fit")
    held = door.executing()
    door.set(held, phase=Phase.HELD)
    door.catalogue.withdraw("fit")
    with pytest.raises(NotAllowed, match="has been withdrawn"):
        door.service.run(ANN, "fit", pending.id)
    with pytest.raises(NotAllowed, match="has been withdrawn"):
        door.catalogue.published("fit")
    assert door.service.run(ANN, "fit", held.id).marks == {Mark.RESUME_REQUESTED}
    assert door.service.definition_of(pending) == published.definition
    assert door.service.abort(ANN, "fit", pending.id).phase is Phase.ABORTED


@pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.ERROR, Phase.ABORTED])
def test_abort_of_a_job_that_is_over_changes_nothing(door: Door, phase: Phase) -> None:
    job = door.set(door.executing(), phase=phase, work=Work.RELEASED, ended=now())
    begin = time.monotonic()
    assert door.service.abort(ANN, "fit", job.id) == job
    assert time.monotonic() - begin < 1


def test_abort_waits_a_moment_for_the_end_and_shows_it(door: Door) -> None:
    job = door.executing()

    def supervise() -> None:
        eventually(lambda: door.storage.read(job.id).abort_requested, "it is to be stopped")
        door.set(job, phase=Phase.ABORTED, work=Work.ENDED, ended=now())

    thread = threading.Thread(target=supervise)
    thread.start()
    assert door.service.abort(ANN, "fit", job.id).phase is Phase.ABORTED
    thread.join()


def test_abort_waits_two_seconds_at_most_and_never_for_the_cluster(door: Door) -> None:
    job = door.executing()
    begin = time.monotonic()
    after = door.service.abort(ANN, "fit", job.id)
    assert 1.9 < time.monotonic() - begin < 4
    assert (after.phase, after.abort_requested) == (Phase.EXECUTING, True)


def test_abort_does_not_wait_where_no_slot_is_left(door: Door) -> None:
    job = door.executing()
    door.watcher = Watcher(door.storage, slots=0, per_user=0)
    begin = time.monotonic()
    assert door.made().abort(ANN, "fit", job.id).abort_requested
    assert time.monotonic() - begin < 1


def test_a_job_deleted_while_its_abort_waits_is_no_fault(door: Door) -> None:
    job = door.executing()
    thread = threading.Thread(
        target=lambda: (
            eventually(lambda: door.storage.read(job.id).abort_requested, "it waits"),
            door.service.delete(ANN, "fit", job.id),
        )
    )
    thread.start()
    assert door.service.abort(ANN, "fit", job.id).id == job.id
    thread.join()


def test_delete_dooms_at_once_and_wakes_the_supervisor(door: Door) -> None:
    job = door.create()
    assert door.service.delete(ANN, "fit", job.id).doomed
    assert door.woken == 1
    assert [one.id for one in door.storage.todo(10)] == [job.id]


# -- values


def test_parameters_of_a_pending_job_are_replaced_by_name(door: Door) -> None:
    job = door.create(("n", "3"), ("memory", "2G"))
    changed = door.service.set_parameters(
        ANN, "fit", job.id, Form(values=(("N", "4"), ("memory", "3G")))
    )
    assert [(one.name, one.value) for one in changed.parameters] == [("n", "4")]
    assert changed.options == {"memory": "3G"}
    with pytest.raises(BadRequest):
        door.service.set_parameters(ANN, "fit", job.id, Form(values=(("n", "x"),)))
    door.service.run(ANN, "fit", job.id)
    with pytest.raises(NotAllowed):
        door.service.set_parameters(ANN, "fit", job.id, Form(values=(("n", "5"),)))


def test_results_are_found_by_id(door: Door) -> None:
    job = door.set(door.create(), results=(TABLE,))
    assert door.service.result(ANN, "fit", job.id, "table") == (job, TABLE)
    with pytest.raises(NotFound, match="no result 'plot'; it has: table"):
        door.service.result(ANN, "fit", job.id, "plot")


# -- many at once


def test_many_changes_at_once_all_count_in_some_order(door: Door) -> None:
    job = door.create()
    days = [now() + timedelta(days=day) for day in range(1, 9)]
    together(
        *(lambda day=day: door.service.set_destruction(ANN, "fit", job.id, day) for day in days)
    )
    after = door.storage.read(job.id)
    assert after.destruction in days
    assert after.version == job.version + len(days)


def test_one_of_many_runs_wins(door: Door) -> None:
    job = door.create()
    outcomes = together(*(lambda: refused(door, job) for _ in range(8)))
    assert sorted(outcomes) == [False] + [True] * 7
    assert door.storage.read(job.id).version == 2


def refused(door: Door, job: Job) -> bool:
    try:
        door.service.run(ANN, "fit", job.id)
    except NotAllowed:
        return True
    return False


def test_a_job_that_others_change_all_the_time_is_a_conflict(door: Door, monkeypatch) -> None:
    job = door.create()

    def lose(*args, **more):
        raise Conflict("somebody was faster")

    monkeypatch.setattr(door.storage, "save", lose)
    with pytest.raises(Conflict, match="is being changed by others all the time"):
        door.service.delete(ANN, "fit", job.id)


# -- events


def test_an_event_with_the_jobs_token_pokes_and_changes_nothing(door: Door) -> None:
    job = door.executing()
    token = open_data_dir(door.folder / "data").event_token(job.tag or "")
    woken = door.woken
    for subject in (job.id, job.tag or ""):
        fields = {"jobid": subject, "token": token, "phase": "COMPLETED"}
        assert door.service.event(fields, trusted=False) == 1
    assert door.storage.read(job.id) == job
    assert door.storage.take_pokes(job.id) == {"event"}
    assert door.woken == woken + 2


def test_an_event_about_a_beginning_says_so(door: Door) -> None:
    job = door.executing()
    token = open_data_dir(door.folder / "data").event_token(job.tag or "")
    fields = {"jobid": job.tag or "", "token": token, "phase": "EXECUTING"}
    assert door.service.event(fields, trusted=False) == 1
    assert door.storage.take_pokes(job.id) == {"begin"}


@pytest.mark.parametrize("token", ["", "0" * 64, "\udc80", "é"])
def test_an_event_with_another_token_is_refused(door: Door, token: str) -> None:
    job = door.executing()
    for subject in (job.id, job.tag or "", "", "7", "\udc80"):
        with pytest.raises(NotAllowed, match="needs the token"):
            door.service.event({"jobid": subject, "token": token}, trusted=False)
    assert door.storage.take_pokes(job.id) == set()


def test_the_token_of_one_job_is_not_anothers(door: Door) -> None:
    job, other = door.executing(), door.executing()
    token = open_data_dir(door.folder / "data").event_token(other.tag or "")
    with pytest.raises(NotAllowed):
        door.service.event({"jobid": job.id, "token": token}, trusted=False)


@pytest.mark.parametrize("of", ["id", "tag", "native_id"])
def test_a_trusted_address_needs_no_token_and_may_name_the_native_id(door: Door, of: str) -> None:
    job = door.executing()
    subject = {"id": job.id, "tag": job.tag or "", "native_id": "7"}[of]
    assert door.service.event({"jobid": subject, "phase": "x"}, trusted=True) == 1
    assert door.storage.take_pokes(job.id) == {"event"}


def test_an_event_about_nobody_pokes_nobody(door: Door) -> None:
    assert door.service.event({"jobid": "nobody"}, trusted=True) == 0
    with pytest.raises(NotAllowed):
        door.service.event({}, trusted=True)
