"""What a user can ask for, and what is refused: the door between the web and the jobs."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from core.helpers.door import ANN, BOB, FIT, NOBODY, Door
from opus_core import waiting
from opus_core.auth.policy import Policy
from opus_core.backends import JobQuery, Limits
from opus_core.errors import (
    AlreadyAdded,
    BadRequest,
    LimitReached,
    NotAllowed,
    NotAuthenticated,
    UnknownJob,
)
from opus_core.forms import Form
from opus_core.job import ANYONE, DefinitionRef, Phase, Work, new_id, now
from opus_core.queries import Wait
from opus_core.sections import Jobs
from opus_core.testing.memory import MemoryStorage
from opus_core.testing.timing import together


@pytest.fixture
def door(tmp_path, monkeypatch):
    monkeypatch.setattr(waiting, "_CYCLE", 0.1)  # the watcher is waited for at the end
    universe = uuid.uuid4().hex
    door = Door(tmp_path, universe)
    yield door
    door.watcher.close()
    MemoryStorage.forget(universe)


# -- creation


def test_the_same_form_at_another_description_is_another_request(door: Door) -> None:
    door.catalogue.publish(replace(FIT, name="other"), "tests")
    door.create(key="k")
    other = door.catalogue.published("other")
    with pytest.raises(AlreadyAdded):
        door.service.create(ANN, other, Form(), job_id=new_id(), key="k")


def test_a_new_job_is_pending_and_has_what_the_site_says(door: Door) -> None:
    job = door.create(("n", "3"), ("RUNID", "mine"))
    assert (job.phase, job.work, job.owner, job.run_id) == (
        Phase.PENDING,
        Work.NONE,
        "ann",
        "mine",
    )
    assert job.definition == ("fit", 1)
    assert [(one.name, one.value) for one in job.parameters] == [("n", "3")]
    assert job.execution_duration == 3600
    assert job.destruction == job.created + timedelta(days=30)
    assert job.manager == "small"
    assert door.storage.read(job.id) == job
    assert door.woken == 0, "there is nothing to do for a supervisor"


def test_a_new_job_may_be_run_by_the_same_request(door: Door) -> None:
    job = door.create(("PHASE", "RUN"))
    assert (job.phase, job.work) == (Phase.QUEUED, Work.WANTED)
    assert job.tag is not None
    assert job.tag.endswith(f"-{job.id}")
    assert door.woken == 1


@pytest.mark.parametrize("control", [("PHASE", "ABORT"), ("ACTION", "DELETE")])
def test_a_new_job_can_only_be_run(door: Door, control) -> None:
    with pytest.raises(BadRequest):
        door.create(control)


def test_a_user_may_set_the_options_of_the_manager_over_the_descriptions(door: Door) -> None:
    assert door.create().options == {"memory": "1G"}
    assert door.create(("memory", "2G")).options == {"memory": "2G"}


def test_an_expected_duration_becomes_an_instant(door: Door) -> None:
    door.catalogue.publish(replace(FIT, quote=60, execution_duration=5), "tests")
    job = door.create()
    assert job.quote == job.created + timedelta(seconds=60)
    assert job.execution_duration == 5


@pytest.mark.parametrize(("wish", "granted"), [("10", 10), ("100", 100), ("0", 100), ("200", 100)])
def test_an_execution_duration_is_cut_to_what_is_granted(door, wish: str, granted: int) -> None:
    service = door.made(Jobs(execution_duration=50, execution_duration_max=100))
    job = door.create(("EXECUTIONDURATION", wish), service=service)
    assert job.execution_duration == granted
    job = service.set_execution_duration(ANN, "fit", job.id, int(wish))
    assert job.execution_duration == granted


def test_a_destruction_time_is_cut_to_what_is_granted(door: Door) -> None:
    service = door.made(Jobs(destruction_days=10, destruction_days_max=20))
    far = (now() + timedelta(days=400)).isoformat()
    job = door.create(("DESTRUCTION", far), service=service)
    assert job.destruction == job.created + timedelta(days=20)
    soon = now() + timedelta(days=2)
    assert service.set_destruction(ANN, "fit", job.id, soon).destruction == soon
    job = service.set_destruction(ANN, "fit", job.id, now() + timedelta(days=400))
    assert job.destruction is not None
    assert timedelta(days=19) < job.destruction - now() <= timedelta(days=20)


def test_a_site_may_keep_jobs_for_ever(door: Door) -> None:
    service = door.made(Jobs(destruction_days=0, destruction_days_max=0))
    assert door.create(service=service).destruction is None


def test_limits_are_counted_by_user(door: Door) -> None:
    service = door.made(limits=Limits(active=1))
    door.create(("PHASE", "RUN"), service=service)
    with pytest.raises(LimitReached, match="1 jobs may be active at once"):
        door.create(("PHASE", "RUN"), service=service)
    door.create(("PHASE", "RUN"), user=BOB, service=service)
    pending = door.create(service=service)
    with pytest.raises(LimitReached):
        service.run(ANN, "fit", pending.id)
    assert door.storage.read(pending.id).phase is Phase.PENDING


# -- the same request twice


def test_a_repeated_request_makes_one_job(door: Door) -> None:
    published, form = door.catalogue.published("fit"), Form(values=(("n", "3"),))
    first, new = door.service.create(ANN, published, form, job_id=new_id(), key="k")
    again, newer = door.service.create(ANN, published, form, job_id=new_id(), key="k")
    assert (new, newer) == (True, False)
    assert again == first


def test_requests_that_race_under_one_key_make_one_job(door: Door) -> None:
    published, form = door.catalogue.published("fit"), Form(values=(("n", "3"),))
    made = together(
        *(
            lambda: door.service.create(ANN, published, form, job_id=new_id(), key="k")
            for _ in range(8)
        )
    )
    assert len({job.id for job, _ in made}) == 1
    assert sum(new for _, new in made) == 1


def test_another_request_under_the_same_key_is_a_conflict(door: Door) -> None:
    job = door.create(("n", "3"), key="k")
    with pytest.raises(AlreadyAdded, match=f"made job {job.id} already"):
        door.create(("n", "4"), key="k")
    assert door.create(("n", "4"), user=BOB, key="k").id != job.id, "keys are each user's own"


# -- whose jobs


EVERYTHING = [
    lambda service, user, job: service.summary(user, "fit", job.id),
    lambda service, user, job: service.read(user, "fit", job.id),
    lambda service, user, job: service.wait(user, "fit", job.id, Wait(seconds=1)),
    lambda service, user, job: service.result(user, "fit", job.id, "table"),
    lambda service, user, job: service.upload(user, "fit", job.id, "n"),
    lambda service, user, job: service.run(user, "fit", job.id),
    lambda service, user, job: service.abort(user, "fit", job.id),
    lambda service, user, job: service.delete(user, "fit", job.id),
    lambda service, user, job: service.set_destruction(user, "fit", job.id, now()),
    lambda service, user, job: service.set_execution_duration(user, "fit", job.id, 1),
    lambda service, user, job: service.set_parameters(user, "fit", job.id, Form()),
]


@pytest.mark.parametrize("call", EVERYTHING)
def test_the_jobs_of_others_are_closed_to_everybody(door: Door, call) -> None:
    job = door.create()
    for user in (BOB, NOBODY):
        with pytest.raises(NotAllowed, match="belongs to another user"):
            call(door.service, user, job)
    assert door.storage.read(job.id) == job


@pytest.mark.parametrize("call", EVERYTHING)
def test_a_deleted_job_is_unknown_to_every_request(door: Door, call) -> None:
    job = door.create()
    door.service.delete(ANN, "fit", job.id)
    with pytest.raises(UnknownJob):
        call(door.service, ANN, job)


@pytest.mark.parametrize("call", EVERYTHING)
def test_a_job_is_unknown_under_the_name_of_another_description(door: Door, call) -> None:
    job = door.set(door.create(), definition=DefinitionRef("other", 1))
    with pytest.raises(UnknownJob):
        call(door.service, ANN, job)


def test_a_job_without_owner_is_everybodys_who_knows_its_id(door: Door) -> None:
    job = door.create(user=NOBODY)
    assert job.owner is None
    assert job.quota_key == "address:192.0.2.7"
    assert door.service.read(ANN, "fit", job.id) == job


def test_where_nobody_unknown_is_let_in_they_can_do_nothing(door: Door) -> None:
    service = door.made(policy=Policy(anonymous=False))
    with pytest.raises(NotAuthenticated):
        door.create(user=NOBODY, service=service)
    with pytest.raises(NotAuthenticated):
        service.read(NOBODY, "fit", door.create(user=NOBODY).id)
    with pytest.raises(NotAuthenticated):
        service.get_list(NOBODY, JobQuery())


def test_a_list_shows_ones_own_jobs(door: Door) -> None:
    mine, others = door.create(), door.create(user=BOB)
    nobodys = door.create(user=NOBODY)
    assert [row.id for row in door.service.get_list(ANN, JobQuery())] == [mine.id]
    assert list(door.service.get_list(ANN, JobQuery(owner="bob"))) == []
    assert list(door.service.get_list(NOBODY, JobQuery(owner=ANYONE))) == []
    open_ = door.made(policy=Policy(anonymous=True, anonymous_list=True))
    assert [row.id for row in open_.get_list(NOBODY, JobQuery())] == [nobodys.id]
    assert others.owner == "bob"
