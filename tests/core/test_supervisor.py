"""The supervisor drives every job from RUN to its end, and one that is stuck stops no other."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from core.helpers.cluster import SmallManager
from core.helpers.site import Site, a_site
from opus_core import lifecycle, supervisor
from opus_core.backends import HealthState
from opus_core.datadir import INSTANCE_STREAM, open_data_dir
from opus_core.errors import BackendUnavailable, ConfigError
from opus_core.job import DefinitionRef, Mark, Parameter, Phase, Upload, Work, now
from opus_core.supervisor import pool
from opus_core.supervisor.copied import disown_jobs
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


def test_jobs_of_a_manager_that_is_not_configured_wait_and_health_says_so(site: Site) -> None:
    job = site.job()
    foreign = site.storage.save(replace(job, manager="other"), expected=1)
    running = site.storage.add(
        replace(
            site.job(run=False),
            id="0" * 32,
            work=Work.LIVE,
            phase=Phase.EXECUTING,
            started=now(),
            tag="opus-x-y",
            native_ids=("77",),
            manager="other",
        )
    )
    site.supervisor()
    site.until_released(site.job(), Phase.COMPLETED)
    health = eventually(lambda: site.storage.health().get("manager other"), "health tells")
    assert health.state is HealthState.DOWN
    assert (site.read(foreign).phase, site.read(foreign).work) == (Phase.QUEUED, Work.WANTED)
    time.sleep(3 * SmallManager.poll_interval + site.settings.policy.grace)
    assert site.read(running).phase is Phase.EXECUTING


# -- one job, or one call, that is stuck


def test_a_manager_that_breaks_on_one_job_goes_on_with_the_others(site: Site) -> None:
    bad, good = site.job(), site.job()

    def fault(task, submit):
        if task.job_id == bad.id:
            raise RuntimeError("a mistake of the plugin")
        return submit()

    site.cluster.fault = fault
    site.supervisor()
    site.until_released(good, Phase.COMPLETED)
    assert (site.read(bad).phase, site.read(bad).work) == (Phase.QUEUED, Work.STARTING)


def test_a_job_is_submitted_after_all_when_the_mistake_is_mended(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(supervisor, "_PENALTY", 0.2)
    site.cluster.broken["start"] = RuntimeError("a mistake of the plugin")
    job = site.job()
    site.supervisor()
    site.until_work(job, Work.STARTING)
    site.cluster.broken.clear()
    site.until_released(job, Phase.COMPLETED)
    assert site.runs() == 1


def test_a_folder_that_cannot_be_read_hides_no_other(site: Site) -> None:
    bad, good = site.job("sleep 60"), site.job("sleep 0.2")

    class Stumbling(SmallManager):
        def peek(self, tasks):
            if bad.tag in [task.ref.tag for task in tasks]:
                raise OSError("Input/output error")
            return super().peek(tasks)

    site.supervisor(manager=Stumbling(site.cluster))
    site.until_released(good, Phase.COMPLETED)
    assert site.read(bad).phase is Phase.QUEUED


def test_a_running_job_whose_description_is_gone_hides_no_other(site: Site) -> None:
    site.supervisor()
    bad, good = site.job("sleep 60"), site.job("sleep 0.5")
    site.until_phase(bad, Phase.EXECUTING)
    site.ask(bad, lambda job, now: replace(job, definition=DefinitionRef("nobody", 7)))
    # Now all are looked at together.
    site.cluster.broken["get_status"] = BackendUnavailable("no answer")
    site.until_released(good, Phase.COMPLETED)


def test_hanging_submissions_do_not_keep_ended_jobs_from_being_fetched(site: Site) -> None:
    site.supervisor()
    job = site.job("while [ ! -e go ]; do sleep 0.05; done")
    site.until_phase(job, Phase.EXECUTING)
    site.cluster.open.clear()
    waiting = [site.job() for _ in range(300)]  # more than are listed at once, and due before
    site.cluster.hanging.acquire()
    (site.folders.path(job.id) / "work" / "go").touch()
    doomed = site.delete(waiting[-1])
    site.until_released(job, Phase.COMPLETED)
    site.delete(job)
    site.until_removed(job)
    assert doomed.work is Work.NONE
    site.cluster.down = True  # so that nothing of the 300 is started at the end
    site.cluster.fault = lambda task, submit: site.manager.find(["x"])["x"][0]


def test_a_line_that_is_full_leaves_jobs_due_and_takes_them_later(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(pool, "LINE", 2)
    site.cluster.open.clear()
    jobs = [site.job() for _ in range(5)]
    site.supervisor()
    site.cluster.hanging.acquire()
    site.cluster.open.set()
    for job in jobs:
        site.until_released(job, Phase.COMPLETED)


def test_hanging_fetches_do_not_keep_a_running_job_from_being_aborted(site: Site) -> None:
    site.supervisor()
    job = site.job("sleep 60")
    site.until_phase(job, Phase.EXECUTING)
    site.cluster.delivers.clear()
    ended = [site.job() for _ in range(SmallManager.parallel)]
    for one in ended:
        site.until_work(one, Work.ENDED)
        site.cluster.hanging.acquire()
    site.storage.poke("output", job_id=job.id)  # stands in line behind them
    eventually(lambda: not site.storage.universe.rows[job.id].pokes, "the poke is taken")
    site.abort(job)
    site.until_phase(job, Phase.ABORTED)


# -- whose jobs they are


def test_a_copy_of_an_installation_is_not_supervised(site: Site, tmp_path) -> None:
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    site.data_dir = open_data_dir(tmp_path / "copy")
    with pytest.raises(ConfigError, match=r"was copied or moved here; run `opus init --adopt`"):
        site.supervisor()


def test_a_storage_of_another_installation_is_not_supervised(site: Site) -> None:
    site.storage.append(INSTANCE_STREAM, {"word": "another"}, key=INSTANCE_STREAM)
    with pytest.raises(ConfigError, match="belongs to another installation"):
        site.supervisor()


def test_a_copy_disowns_what_is_not_over_and_cancels_nothing(site: Site) -> None:
    first = site.supervisor()
    running = site.job("sleep 60")
    site.until_phase(running, Phase.EXECUTING)
    first.stop()
    over, wanted, pending = site.job(), site.job(), site.job(run=False)
    site.abort(over)
    doomed = site.job("sleep 60")
    site.storage.save(
        replace(doomed, work=Work.LIVE, native_ids=("9",), marks=frozenset({Mark.DOOMED})),
        expected=1,
    )
    calls = site.cluster.calls.copy()
    assert disown_jobs(site.storage) == 3
    for job in (running, wanted):
        disowned = site.read(job)
        assert (disowned.phase, disowned.work) == (Phase.ERROR, Work.RELEASED)
        assert disowned.error is not None
        assert disowned.error.message.startswith("copied from another installation")
    assert site.read(over).phase is Phase.ABORTED
    assert site.read(pending).phase is Phase.PENDING
    assert site.read(doomed).work is Work.RELEASED
    assert site.cluster.calls == calls
