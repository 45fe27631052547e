"""Jobs that a cluster holds or suspends, which the local manager never does: section 5 of
docs/uws.md, with a real server around a small cluster of the tests."""

from __future__ import annotations

import pytest

from core.helpers.site import Site as Cell
from core.helpers.site import a_site
from core.test_spool import served
from opus_core import routes
from opus_core.auth.policy import Policy
from opus_core.auth.tickets import Tickets
from opus_core.backends import Kind, Limits, Status
from opus_core.definition import GeneratedDescription, JobDefinition
from opus_core.publishing import Publishing
from opus_core.sections import Jobs
from opus_core.service import JobService
from opus_core.spool import Spool
from opus_core.waiting import Watcher
from servers import Site, eventually
from uws import documents
from uws.documents import text

LIST = "/rest/held"
HELD = JobDefinition(
    name="held",
    script='echo begun\necho kept > "$output"\nsleep 60\n',
    generated=(GeneratedDescription(name="output"),),
)


@pytest.fixture
def cell(tmp_path):
    """A supervisor and its cluster, on which nothing begins by itself."""
    with a_site(tmp_path) as cell:
        cell.cluster.runs_at_once = False
        cell.catalogue.publish(HELD, "tests")
        yield cell


@pytest.fixture
def one(cell, tmp_path):
    """What asks the server in front of them."""
    watcher = Watcher(cell.storage, slots=4, per_user=4)
    supervisor = cell.supervisor(changed=watcher.changed)
    policy = Policy(anonymous=True, anonymous_list=True)
    service = JobService(
        storage=cell.storage,
        catalogue=cell.catalogue,
        folders=cell.folders,
        watcher=watcher,
        data_dir=cell.data_dir,
        settings=Jobs(max_wait=20),
        limits=Limits(),
        policy=policy,
        manager="small",
        can_resume=cell.manager.can_resume,
        on_change=supervisor.wake,
    )
    app = routes.make_app(
        routes.Parts(
            service=service,
            catalogue=cell.catalogue,
            folders=cell.folders,
            storage=cell.storage,
            tickets=Tickets(cell.data_dir.secret),
            policy=policy,
            publishing=Publishing(cell.catalogue, policy, cell.storage),
            authenticate=lambda request: None,
        )
    )
    try:
        with served(app, Spool(tmp_path / "spool", largest=100_000)) as port:
            yield Site(tmp_path / "unused", port=port)
    finally:
        watcher.close()


def submission(cell: Cell, job: str):
    """What the cluster has of a job."""
    tag = cell.tag(documents.id_of(job))
    [found] = eventually(lambda: cell.cluster.under(tag))
    return found


def become(one: Site, job: str, phase: str) -> None:
    assert one.wait(job, {phase}) == phase
    assert text(documents.job(one.get(job)), "phase") == phase


def held(cell: Cell, one: Site) -> str:
    job = one.create("held")
    submission(cell, job).held = True
    become(one, job, "HELD")
    return job


def running(cell: Cell, one: Site) -> str:
    job = one.create("held")
    submission(cell, job).begin()
    become(one, job, "EXECUTING")
    eventually(lambda: "begun" in one.get(f"{job}/stdout").text)
    return job


def suspended(cell: Cell, one: Site) -> str:
    job = running(cell, one)
    says = Status(kind=Kind.SUSPENDED)
    cell.cluster.says[submission(cell, job).native_id] = says
    become(one, job, "SUSPENDED")
    return job


def ask(one: Site, job: str, phase: str) -> None:
    answer = one.post(f"{job}/phase", {"PHASE": phase})
    assert (answer.status, answer.location) == (303, job)


@pytest.mark.uws("5.9", "14.4")
def test_run_sends_a_held_job_on(cell, one):
    job = held(cell, one)
    assert text(documents.job(one.get(f"{job}?WAIT=15")), "phase") == "HELD"  # at once
    ask(one, job, "RUN")
    become(one, job, "QUEUED")
    submission(cell, job).begin()
    become(one, job, "EXECUTING")
    ask(one, job, "ABORT")
    become(one, job, "ABORTED")
    assert cell.cluster.calls["resume"] == 1
    assert cell.cluster.calls["start"] == 1, "it is not submitted once more"


@pytest.mark.uws("5.3", "5.9")
def test_abort_ends_a_held_job(cell, one):
    job = held(cell, one)
    ask(one, job, "ABORT")
    become(one, job, "ABORTED")
    assert submission(cell, job).cancelled
    assert one.post(f"{job}/phase", {"PHASE": "RUN"}).status == 403
    root = documents.job(one.get(job))
    assert text(root, "startTime") is None
    assert text(root, "endTime") is not None
    assert one.phase(job) == "ABORTED"


@pytest.mark.uws("5.3")
def test_abort_ends_a_suspended_job_and_keeps_what_there_is(cell, one):
    job = suspended(cell, one)
    ask(one, job, "ABORT")
    eventually(lambda: submission(cell, job).cancelled)
    del cell.cluster.says[submission(cell, job).native_id]
    become(one, job, "ABORTED")
    assert "begun" in one.get(f"{job}/stdout").text
    assert submission(cell, job).process.wait(20) is not None


@pytest.mark.uws("5.6", "5.10")
def test_a_suspended_job_goes_on_by_itself(cell, one):
    job = suspended(cell, one)
    assert one.post(f"{job}/phase", {"PHASE": "RUN"}).status == 403
    assert one.phase(job) == "SUSPENDED"
    del cell.cluster.says[submission(cell, job).native_id]
    become(one, job, "EXECUTING")
    ask(one, job, "ABORT")
    become(one, job, "ABORTED")
    assert cell.cluster.calls["resume"] == 0
