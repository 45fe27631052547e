"""Several submissions under one tag: the claim names the one that is the job."""

from __future__ import annotations

import pytest

from core.helpers.cluster import Submission
from core.helpers.site import Site, a_site
from core.helpers.submissions import answers, starting
from opus_core.backends import Cause, Kind, Status
from opus_core.job import Phase, Work
from opus_core.testing.timing import eventually


@pytest.fixture
def site(tmp_path):
    with a_site(tmp_path) as site:
        yield site


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_submissions_the_one_that_claims_it_is_the_job(site: Site, first: int) -> None:
    answers(site, "lost", "ok")
    site.cluster.runs_at_once = False
    site.cluster.lag = 3600  # longer than the manager believes
    job = site.job("sleep 0.5")
    site.supervisor()
    live = site.until_work(job, Work.LIVE)
    assert live.native_ids == ("2",), "nobody has heard of the first"
    both = site.cluster.under(site.tag(job.id))
    both[first].begin()
    eventually(lambda: site.folders.links(job.id).begun, "the script has begun")
    both[1 - first].begin()
    site.storage.poke("event", job_id=job.id)  # the wrapper reports that it has begun
    settled = site.until(job, lambda one: one.started is not None, "it has begun")
    assert settled.native_ids == (both[first].native_id,)
    site.until_released(job, Phase.COMPLETED)
    assert site.runs() == 1


def test_what_becomes_of_the_others_is_not_what_becomes_of_the_job(site: Site) -> None:
    answers(site, "lost", "ok")
    site.cluster.runs_at_once = False
    site.cluster.lag = 3600
    job = site.job("sleep 0.5")
    site.supervisor(poll_interval=3600.0)
    site.until_work(job, Work.LIVE)
    first, second = site.cluster.under(site.tag(job.id))
    first.begin()
    eventually(lambda: site.folders.links(job.id).begun, "the script has begun")
    cancelled = Status(kind=Kind.ENDED, cause=Cause.CANCELLED)
    site.cluster.says[second.native_id] = cancelled  # the only one that is known
    site._supervisors[0].stop()
    site.supervisor()
    settled = site.until(job, lambda one: one.native_ids == (first.native_id,), "it was adopted")
    assert not settled.phase.over
    site.until_released(job, Phase.COMPLETED)


def test_the_claim_counts_and_not_the_one_submission_that_is_known(site: Site) -> None:
    answers(site, "lost", "ok")
    site.cluster.lag = 3600
    job = site.job("sleep 1")  # longer than the grace for an end that was not recorded
    site.supervisor()
    site.until(job, lambda one: one.work is not Work.STARTING, "it was adopted")
    done = site.until_released(job, Phase.COMPLETED)
    assert done.native_ids == ("1",)
    assert site.cluster.calls["start"] in (1, 2)
    assert site.runs() == 1


def test_all_that_find_shows_are_kept_until_the_claim_names_one(site: Site) -> None:
    site.cluster.runs_at_once = False
    job = starting(site, "sleep 0.3")
    for native_id in ("7", "8"):
        site.cluster.submissions[native_id] = Submission(
            native_id, site.tag(job.id), site.folders.path(job.id)
        )
    site.supervisor()
    live = site.until_work(job, Work.LIVE)
    assert live.native_ids == ("7", "8")
    site.cluster.submissions["8"].begin()
    done = site.until_released(job, Phase.COMPLETED)
    assert done.native_ids == ("8",)
    assert site.cluster.submissions["7"].cancelled, "the other is told to leave"
    assert not site.cluster.submissions["8"].cancelled


def test_a_late_duplicate_leaves(site: Site) -> None:
    job = site.job()
    site.supervisor()
    site.until_released(job, Phase.COMPLETED)
    before = site.folders.links(job.id)
    late = Submission("99", site.tag(job.id), site.folders.path(job.id))
    late.begin()
    assert late.process is not None
    assert late.process.wait(20) == 0
    assert site.folders.links(job.id) == before
    assert site.runs() == 1
