"""Plugins hear of every change of phase: in order, at least once, across restarts."""

from __future__ import annotations

import threading

import pytest

from core.helpers.site import Site, a_site
from opus_core.job import Phase
from opus_core.testing.timing import eventually


@pytest.fixture
def site(tmp_path):
    with a_site(tmp_path) as site:
        yield site


class Hearer:
    """What a plugin has been told."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, str, Phase | None]] = []
        self.refuse = 0  # so many calls

    def __call__(self, change) -> None:
        if self.refuse:
            self.refuse -= 1
            raise RuntimeError("a mistake of the plugin")
        self.heard.append((change.seq, change.job_id, change.new))

    def of(self, job) -> list[Phase | None]:
        return [new for _, job_id, new in self.heard if job_id == job.id]

    def knows_all(self, site: Site) -> bool:
        return bool(self.heard) and self.heard[-1][0] == site.storage.changes(-1)[0]


def in_order(hearer: Hearer) -> bool:
    numbers = [seq for seq, _, _ in hearer.heard]
    return numbers == sorted(set(numbers))


def test_every_change_is_told_in_order(site: Site) -> None:
    hearer = Hearer()
    site.supervisor(notify=hearer)
    eventually(lambda: site.storage.records("observed"), "it knows where it begins")
    jobs = [site.job() for _ in range(5)]
    for job in jobs:
        site.until_released(job, Phase.COMPLETED)
    site.delete(jobs[0])
    site.until_removed(jobs[0])
    eventually(lambda: hearer.knows_all(site), "all was told")
    lived = [Phase.QUEUED, Phase.EXECUTING, Phase.COMPLETED]
    assert hearer.of(jobs[0]) == [*lived, None]
    assert hearer.of(jobs[1]) == lived
    assert in_order(hearer)


def test_what_happened_while_nobody_supervised_is_told_later(site: Site) -> None:
    first = site.supervisor(notify=Hearer())
    eventually(lambda: site.storage.records("observed"), "it knows where it begins")
    first.stop()
    job = site.job(run=False)
    hearer = Hearer()
    site.supervisor(notify=hearer)
    eventually(lambda: hearer.of(job), "it was told")
    assert hearer.of(job) == [Phase.PENDING]


def test_a_change_that_could_not_be_told_is_told_again(site: Site) -> None:
    hearer = Hearer()
    site.supervisor(notify=hearer)
    eventually(lambda: site.storage.records("observed"), "it knows where it begins")
    hearer.refuse = 1
    job = site.job()
    site.until_released(job, Phase.COMPLETED)
    eventually(lambda: hearer.knows_all(site), "all was told")
    assert hearer.of(job) == [Phase.QUEUED, Phase.EXECUTING, Phase.COMPLETED]
    assert in_order(hearer)


def test_one_that_was_stopped_in_the_middle_tells_the_rest_next_time(site: Site) -> None:
    entered, gate = threading.Event(), threading.Event()
    first = Hearer()

    def slow(change) -> None:
        first(change)
        entered.set()
        gate.wait(60)

    supervisor = site.supervisor(notify=slow)
    eventually(lambda: site.storage.records("observed"), "it knows where it begins")
    jobs = [site.job(run=False) for _ in range(3)]
    assert entered.wait(20)
    stopping = threading.Thread(target=supervisor.stop)
    stopping.start()
    eventually(lambda: supervisor._observer._stopping.is_set(), "it is to stop")
    gate.set()
    stopping.join(20)
    told = len(first.heard)
    assert told < 3
    second = Hearer()
    site.supervisor(notify=second)
    eventually(lambda: second.knows_all(site), "all was told")
    assert [job_id for _, job_id, _ in first.heard + second.heard] == [job.id for job in jobs]


def test_only_the_acting_supervisor_tells(site: Site) -> None:
    hearers = [Hearer(), Hearer()]
    supervisors = [site.supervisor(notify=hearer) for hearer in hearers]
    eventually(lambda: site.storage.records("observed"), "one knows where it begins")
    job = site.job()
    site.until_released(job, Phase.COMPLETED)
    eventually(lambda: any(one.knows_all(site) for one in hearers), "all was told")
    assert [bool(one.heard) for one in hearers] == [one.acting for one in supervisors]
