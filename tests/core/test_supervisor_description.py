"""The description of a job is gone, damaged or cannot be read: the job is driven all the same."""

from __future__ import annotations

import errno
import shutil

import pytest

from core.helpers.site import Site, a_site
from core.helpers.submissions import starting
from json_jdl import JsonJdl
from opus_core.below import Below
from opus_core.definitions import Catalogue
from opus_core.errors import Unavailable
from opus_core.job import Job, Phase
from opus_core.testing.timing import eventually


@pytest.fixture
def site(tmp_path):
    with a_site(tmp_path) as site:
        yield site


def gone(version) -> None:
    shutil.rmtree(version)


def damaged(version) -> None:
    with next(version.glob("definition.*")).open("ab") as file:
        file.write(b"x")


def lose(site: Site, job: Job, how=gone) -> None:
    """What its description becomes while no supervisor runs."""
    for supervisor in site._supervisors:
        supervisor.stop()
    folder = site.folders.root.parent / "data" / "definitions"
    how(folder / job.definition.name / "versions" / str(job.definition.number))
    site.catalogue = Catalogue(folder, JsonJdl(None), ())


def running(site: Site, script: str = "sleep 60") -> Job:
    site.supervisor()
    job = site.job(script, outputs=["plot"])
    site.until_phase(job, Phase.EXECUTING)
    eventually(lambda: site.folders.links(job.id).begun, "the script has begun")
    return job


def ended(site: Site) -> Job:
    """Its script ended well, and the cluster does not hand its results over yet."""
    site.cluster.broken["get_results"] = Unavailable("busy")
    site.supervisor()
    job = site.job("echo 1 > plot", outputs=["plot"])
    site.until(job, lambda one: one.watch.attempts > 0, "fetching it was tried")
    return job


def go_on(site: Site) -> None:
    site.cluster.broken.clear()
    site.supervisor()
    site.storage.pass_time(5)


@pytest.mark.parametrize("how", [gone, damaged])
@pytest.mark.parametrize("state", [running, ended])
def test_it_can_be_aborted(site: Site, state, how) -> None:
    job = state(site)
    lose(site, job, how)
    site.abort(job)
    go_on(site)
    site.until_released(job, Phase.ABORTED)
    for submission in site.cluster.under(site.tag(job.id)):
        assert submission.process.wait(20) is not None
    assert site.tag(job.id) in site.cluster.deleted


@pytest.mark.parametrize("how", [gone, damaged])
@pytest.mark.parametrize("state", [running, ended])
def test_it_can_be_deleted(site: Site, state, how) -> None:
    job = state(site)
    lose(site, job, how)
    site.delete(job)
    go_on(site)
    site.until_removed(job)
    assert not site.folders.path(job.id).exists()
    for submission in site.cluster.under(site.tag(job.id)):
        assert submission.process.wait(20) is not None


@pytest.mark.parametrize("how", [gone, damaged])
@pytest.mark.parametrize(
    ("state", "script"), [(running, "while [ ! -e go ]; do sleep 0.05; done"), (ended, "")]
)
def test_a_job_whose_results_nobody_can_tell_is_an_error(site: Site, state, script, how) -> None:
    job = state(site, script) if script else state(site)
    lose(site, job, how)
    go_on(site)
    (site.folders.path(job.id) / "work" / "go").touch()
    done = site.until_released(job, Phase.ERROR)
    assert "description, which says what its results are, cannot be read" in done.error.message
    assert site.cluster.calls["get_results"], "its output is brought home"


def test_a_recorded_failure_is_that_failure(site: Site) -> None:
    job = running(site, "while [ ! -e go ]; do sleep 0.05; done; exit 3")
    lose(site, job)
    go_on(site)
    (site.folders.path(job.id) / "work" / "go").touch()
    done = site.until_released(job, Phase.ERROR)
    assert done.error.message == "the script ended with exit code 3"


def test_a_job_that_was_being_submitted_is_not_started_without_it(site: Site) -> None:
    job = starting(site)
    lose(site, job)
    site.supervisor()
    done = site.until_released(job, Phase.ERROR)
    assert "description cannot be read any more" in done.error.message
    assert not site.cluster.calls["start"]
    assert site.folders.links(job.id).sealed


def test_results_wait_for_a_description_that_cannot_be_read_now(site: Site, monkeypatch) -> None:
    job = ended(site)
    site._supervisors[0].stop()
    read = site.catalogue.read
    told = []

    def unreadable(ref):
        raise Unavailable("Permission denied")

    results = site.manager.get_results
    monkeypatch.setattr(
        site.manager, "get_results", lambda task: (told.append(task.outputs), results(task))
    )
    monkeypatch.setattr(site.catalogue, "read", unreadable)
    go_on(site)
    site.until(
        job, lambda one: "Permission denied" in one.job_info.get("fetching", ""), "it says why"
    )
    assert site.read(job).phase is Phase.EXECUTING
    monkeypatch.setattr(site.catalogue, "read", read)
    site.storage.pass_time(5)
    done = site.until_released(job, Phase.COMPLETED)
    assert [one.id for one in done.results] == ["plot"]
    assert [len(outputs) for outputs in told] == [1], "nothing is fetched by half a task"


def test_what_may_not_be_read_is_not_gone(site: Site, monkeypatch) -> None:
    job = site.job(run=False)
    catalogue = Catalogue(site.folders.root.parent / "data" / "definitions", JsonJdl(None), ())

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Below, "open", refuse)
        with pytest.raises(Unavailable, match="version 1 of 'test0' cannot be read: Permission"):
            catalogue.read(job.definition)
    assert catalogue.read(job.definition).name == "test0"
