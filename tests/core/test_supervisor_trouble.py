"""What nobody has foreseen: the job says that it waits, and so does health, until it gets on."""

from __future__ import annotations

import errno

import pytest

from core.helpers.cluster import SmallManager
from core.helpers.site import Site, a_site
from opus_core import supervisor
from opus_core.backends import Health, HealthState
from opus_core.errors import Unavailable
from opus_core.job import Job, Phase, Work, now
from opus_core.supervisor.trouble import COMPONENT, UNFORESEEN
from opus_core.testing.timing import eventually


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "_PENALTY", 0.2)
    monkeypatch.setattr(supervisor, "_REAP_INTERVAL", 0.2)
    with a_site(tmp_path) as site:
        yield site


def health(site: Site) -> Health:
    return site.storage.health()[COMPONENT]


def until_it_says(site: Site, job: Job, sentence: str) -> None:
    site.until(job, lambda one: sentence in one.job_info.get("waiting", ""), "the job says so")
    eventually(lambda: COMPONENT in site.storage.health(), "health says something")
    eventually(lambda: health(site).state is HealthState.DEGRADED, "health is degraded")
    assert sentence in health(site).sentence
    assert job.id in health(site).sentence


def until_it_is_past(site: Site) -> None:
    eventually(lambda: health(site).state is HealthState.OK, "health is well again")


@pytest.mark.parametrize("method", ["start", "get_results", "peek"])
def test_a_mistake_of_a_plugin_is_told_until_it_is_mended(site: Site, method: str) -> None:
    site.cluster.broken[method] = RuntimeError("a mistake of the plugin")
    job = site.job("sleep 0.2")
    site.supervisor()
    until_it_says(site, job, UNFORESEEN)
    site.cluster.broken.clear()
    site.storage.pass_time(5)
    done = site.until_released(job, Phase.COMPLETED)
    assert "waiting" not in done.job_info
    until_it_is_past(site)


def test_a_folder_that_cannot_be_written_is_the_reason_to_wait(site: Site, monkeypatch) -> None:
    write = site.folders.write

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(site.folders, "write", refuse)
    job = site.job()
    site.supervisor()
    until_it_says(site, job, "its folder cannot be written: Permission denied")
    assert (site.read(job).phase, site.read(job).work) == (Phase.QUEUED, Work.WANTED)
    monkeypatch.setattr(site.folders, "write", write)
    done = site.until_released(job, Phase.COMPLETED)
    assert "waiting" not in done.job_info
    until_it_is_past(site)


def test_a_description_that_cannot_be_read_now_is_the_reason_to_wait(
    site: Site, monkeypatch
) -> None:
    def refuse(ref):
        raise Unavailable("version 1 of 'test0' cannot be read: Permission denied")

    job = site.job()
    with monkeypatch.context() as patched:
        patched.setattr(site.catalogue, "read", refuse)
        site.supervisor()
        until_it_says(site, job, "Permission denied")
    site.until_released(job, Phase.COMPLETED)
    until_it_is_past(site)


def test_a_job_that_needs_nobody_any_more_is_no_trouble(site: Site, monkeypatch) -> None:
    def refuse(*args, **kwargs):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(site.folders, "write", refuse)
    aborted = site.job()
    site.supervisor()
    until_it_says(site, aborted, "Input/output error")
    deleted = site.job()
    site.until(deleted, lambda one: "waiting" in one.job_info, "the other waits, too")
    site.abort(aborted)
    site.delete(deleted)
    site.until_removed(deleted)
    until_it_is_past(site)
    assert "waiting" not in site.read(aborted).job_info


def test_what_another_supervisor_has_said_does_not_stay(site: Site) -> None:
    degraded = Health(state=HealthState.DEGRADED, sentence="1 job", since=now(), heartbeat=now())
    site.storage.set_health(COMPONENT, degraded)
    site.supervisor()
    until_it_is_past(site)


def test_one_folder_that_cannot_be_looked_into_is_told_of_that_job_alone(site: Site) -> None:
    bad, good = site.job("sleep 60"), site.job("sleep 0.2")
    healed: list[bool] = []

    class Stumbling(SmallManager):
        def peek(self, tasks):
            if bad.tag in [task.ref.tag for task in tasks] and not healed:
                raise OSError(errno.EIO, "Input/output error")
            return super().peek(tasks)

    site.supervisor(manager=Stumbling(site.cluster))
    until_it_says(site, bad, UNFORESEEN)
    assert "waiting" not in site.until_released(good, Phase.COMPLETED).job_info
    healed.append(True)
    site.storage.pass_time(5)
    site.until_phase(bad, Phase.EXECUTING)
    until_it_is_past(site)
