"""The supervisor drives every job from RUN to its end, and one that is stuck stops no other."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from core.helpers.site import Site, a_site
from opus_core import lifecycle
from opus_core.auth.audit import Audit
from opus_core.errors import BackendUnavailable, StorageFull
from opus_core.job import DefinitionRef, Parameter, Phase, Upload, Work, now
from opus_core.testing.timing import eventually


@pytest.fixture
def site(tmp_path):
    with a_site(tmp_path) as site:
        yield site


def test_a_job_goes_from_run_to_its_results(site: Site) -> None:
    job = site.job("echo 42 > $answer", outputs=["answer"])
    site.supervisor()
    done = site.until_released(job, Phase.COMPLETED)
    assert [(one.id, one.name, one.size) for one in done.results] == [("answer", "answer", 3)]
    assert site.phases(job) == [Phase.QUEUED, Phase.EXECUTING, Phase.COMPLETED]
    assert site.cluster.deleted == [job.tag]
    assert site.runs() == 1


def test_a_pending_job_is_left_alone_until_run(site: Site) -> None:
    job = site.job(run=False)
    other = site.job()
    site.supervisor()
    site.until_released(other, Phase.COMPLETED)
    assert site.read(job) == job
    site.ask(job, lifecycle.run, tag=site.tag(job.id), can_resume=False)
    site.until_released(job, Phase.COMPLETED)


def test_a_submission_of_another_process_is_picked_up_within_a_second(site: Site) -> None:
    site.supervisor()
    site.until_released(site.job(), Phase.COMPLETED)
    site.embedded = False
    begin = time.monotonic()
    job = site.job("sleep 60")
    site.until_work(job, Work.LIVE)
    assert time.monotonic() - begin < 1.0


def test_a_required_result_that_is_missing_is_an_error_that_names_it(site: Site) -> None:
    job = site.job("echo 1 > plot", outputs=["plot", "table"], required=True)
    site.supervisor()
    done = site.until_released(job, Phase.ERROR)
    assert done.error is not None
    assert done.error.message.endswith("did not write what it has to: table")
    assert [one.id for one in done.results] == ["plot"]


def test_results_that_come_late_are_waited_for_while_the_job_executes(
    site: Site, monkeypatch
) -> None:
    site.cluster.broken["get_results"] = BackendUnavailable("the file server is away")
    job = site.job("echo 1 > plot", outputs=["plot"])
    site.supervisor()
    waiting = site.until(job, lambda one: "fetching" in one.job_info, "its results are awaited")
    assert (waiting.phase, waiting.work) == (Phase.EXECUTING, Work.ENDED)
    assert waiting.job_info["fetching"] == "fetching results: the file server is away"
    site.cluster.broken.clear()
    done = site.until_released(job, Phase.COMPLETED)
    assert "fetching" not in done.job_info


def test_a_job_is_completed_before_the_cluster_has_forgotten_it(site: Site) -> None:
    site.cluster.broken["delete"] = BackendUnavailable("busy")
    job = site.job("echo 1 > plot", outputs=["plot"])
    site.supervisor()
    done = site.until_phase(job, Phase.COMPLETED)
    assert (done.work, len(done.results)) == (Work.ENDED, 1)
    eventually(lambda: site.cluster.calls["delete"] == 2, "it is tried again")
    site.cluster.broken.clear()
    site.until_released(job, Phase.COMPLETED)
    assert site.cluster.calls["get_results"] == 1, "what may be gone is not fetched again"
    assert site.read(job).results == done.results


def test_a_job_whose_folder_was_removed_while_it_ran_is_an_error(site: Site) -> None:
    site.cluster.broken["get_results"] = BackendUnavailable("the file server is away")
    job = site.job()
    site.supervisor()
    site.until(job, lambda one: "fetching" in one.job_info, "its results are awaited")
    site.folders.remove(job.id)
    site.cluster.broken.clear()
    done = site.until_released(job, Phase.ERROR)
    assert done.error is not None
    assert done.error.message == "the job's folder has been removed; run it again"


def test_a_script_that_removes_its_own_papers_still_has_its_results(site: Site) -> None:
    job = site.job("echo 1 > plot; rm ../job.json", outputs=["plot"])
    site.supervisor()
    assert site.until_released(job, Phase.COMPLETED).results


def test_jobs_go_on_while_no_supervisor_runs_and_the_next_one_finds_them(site: Site) -> None:
    first = site.supervisor()
    ended, running = site.job("sleep 0.5"), site.job("while [ ! -e go ]; do sleep 0.05; done")
    for job in (ended, running):
        site.until_work(job, Work.LIVE)
    site.until_runs(2)
    first.stop()
    eventually(lambda: site.folders.links(ended.id).exit, "it ends unobserved")
    assert site.read(ended).work is Work.LIVE
    site.supervisor()
    site.until_released(ended, Phase.COMPLETED)
    (site.folders.path(running.id) / "work" / "go").touch()
    site.until_released(running, Phase.COMPLETED)
    assert site.runs() == 2


def test_an_event_is_followed_at_once_however_seldom_is_polled(site: Site) -> None:
    site.supervisor(poll_interval=3600.0)
    job = site.job("sleep 0.3")
    site.until_work(job, Work.LIVE)
    eventually(lambda: site.folders.links(job.id).exit, "the script has ended")
    site.storage.poke("event", job_id=job.id)
    site.until_released(job, Phase.COMPLETED)


def test_whoever_reads_the_output_of_a_running_job_gets_what_is_new(site: Site) -> None:
    site.supervisor()
    job = site.job("sleep 60")
    site.until_phase(job, Phase.EXECUTING)
    site.storage.poke("output", job_id=job.id)
    noted = site.until(job, lambda one: "partition" in one.job_info, "the scheduler was asked")
    assert noted.job_info["partition"] == "short"
    assert site.cluster.calls["get_output"] == 1


def test_a_running_job_that_the_web_has_changed_is_looked_at_once(site: Site) -> None:
    site.supervisor(poll_interval=3600.0)
    job = site.job("sleep 60")
    site.until_work(job, Work.LIVE)
    eventually(lambda: site.folders.links(job.id).begun, "the script has begun")
    site.storage.poke("event", job_id=job.id)
    site.until_phase(job, Phase.EXECUTING)
    later = now() + timedelta(days=9)
    site.ask(job, lambda job, now: lifecycle.set_destruction(job, later, latest=None))
    row = site.storage.universe.rows[job.id]
    eventually(lambda: row.due is None, "the job is no longer due")
    assert site.read(job).destruction == later


def test_a_poke_at_a_job_that_is_over_is_forgotten(site: Site) -> None:
    site.supervisor()
    job = site.job()
    site.until_released(job, Phase.COMPLETED)
    site.storage.poke("event", job_id=job.id)
    eventually(lambda: not site.storage.universe.rows[job.id].pokes, "the poke is taken")


# -- what keeps a job from being submitted


def test_nothing_is_submitted_while_the_disk_is_nearly_full(site: Site) -> None:
    job = site.job()
    site.supervisor(min_free=2**62)
    put_off = site.until(job, lambda one: "waiting" in one.job_info, "it waits for space")
    assert put_off.job_info["waiting"] == "the server's disk is full; waiting for space"
    assert (put_off.phase, put_off.work) == (Phase.QUEUED, Work.WANTED)
    assert not site.cluster.calls["start"]


def test_a_disk_that_is_full_while_the_folder_is_written_is_waited_for(
    site: Site, monkeypatch
) -> None:
    job = site.job()

    def full(*args, **more):
        raise StorageFull("no space is left below /jobs")

    monkeypatch.setattr(site.folders, "write", full)
    site.supervisor()
    site.until(job, lambda one: "no space" in one.job_info.get("waiting", ""), "it waits")
    monkeypatch.undo()
    assert site.read(job).work is Work.WANTED
    site.storage.pass_time(30)
    site.until_released(job, Phase.COMPLETED)


def test_a_job_whose_description_is_gone_is_an_error(site: Site) -> None:
    job = site.job(run=False)
    wanted = lifecycle.run(job, now=now(), tag=site.tag(job.id), can_resume=False)
    site.storage.save(replace(wanted, definition=DefinitionRef("nobody", 7)), expected=1)
    site.supervisor()
    done = site.until_phase(job, Phase.ERROR)
    assert done.error is not None
    assert "there is no version 7 of a job 'nobody'" in done.error.message
    assert done.work is Work.RELEASED, "nothing was submitted, so nothing is to be cleared up"


def test_a_job_whose_upload_is_gone_is_an_error(site: Site) -> None:
    lost = Upload(sha256="0" * 64, size=1, name="sky.fits")
    job = site.job(parameters=(Parameter(name="image", upload=lost),))
    site.supervisor()
    done = site.until_phase(job, Phase.ERROR)
    assert done.error is not None
    assert "'sky.fits' is not there any more" in done.error.message


@pytest.mark.parametrize("kept", [0.0, 1e-6, 3600.0])
def test_the_record_of_who_did_what_is_kept_as_long_as_the_site_wants(
    site: Site, kept: float
) -> None:
    audit = Audit(site.storage)
    audit.note("ann", "token made", "ann")
    site.settings = replace(site.settings, audit_kept=kept)
    left = 0 if kept == 1e-6 else 1
    swept = threading.Event()
    sweep = site.folders.sweep

    def watched(*arguments, **more):
        swept.set()
        return sweep(*arguments, **more)

    site.folders.sweep = watched
    supervisor = site.supervisor()
    assert swept.wait(20)
    eventually(lambda: len(list(audit.entries())) == left, "the record is as long as it should be")
    supervisor.stop()  # after which nothing is swept any more
    assert len(list(audit.entries())) == left
