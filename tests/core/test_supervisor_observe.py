"""Plugins hear of every change of phase: in order, at least once, across restarts."""

from __future__ import annotations

import threading

import pytest

from core.helpers.site import Site, WatchedStorage, a_site
from opus_core.backends import HealthState
from opus_core.errors import StorageFull, Unavailable
from opus_core.job import Phase
from opus_core.testing.memory import MemoryOptions
from opus_core.testing.timing import eventually


@pytest.fixture
def site(tmp_path):
    with a_site(tmp_path) as site:
        yield site


class Hearer:
    """What a plugin has been told."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, str, Phase | None]] = []
        self.refuse: list[Exception] = []  # what the next calls raise

    def __call__(self, change) -> None:
        if self.refuse:
            raise self.refuse.pop()
        self.heard.append((change.seq, change.job_id, change.new))

    def of(self, job) -> list[Phase | None]:
        return [new for _, job_id, new in self.heard if job_id == job.id]

    def knows_all(self, site: Site) -> bool:
        return bool(self.heard) and self.heard[-1][0] == site.storage.changes(-1)[0]


def in_order(hearer: Hearer) -> bool:
    numbers = [seq for seq, _, _ in hearer.heard]
    return numbers == sorted(set(numbers))


def begun(site: Site, *names: str) -> None:
    """Wait until observers know where they begin."""
    eventually(
        lambda: {record.key for record in site.storage.records("observed")} >= set(names),
        f"{names} know where they begin",
    )


def test_every_change_is_told_in_order(site: Site) -> None:
    hearer = Hearer()
    site.supervisor(observers={"one": hearer})
    begun(site, "one")
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
    first = site.supervisor(observers={"one": Hearer()})
    begun(site, "one")
    first.stop()
    job = site.job(run=False)
    hearer = Hearer()
    site.supervisor(observers={"one": hearer})
    eventually(lambda: hearer.of(job), "it was told")
    assert hearer.of(job) == [Phase.PENDING]


def test_a_change_that_nobody_could_be_told_is_told_again_before_the_next(site: Site) -> None:
    hearer = Hearer()
    site.supervisor(observers={"one": hearer})
    begun(site, "one")
    hearer.refuse = [Unavailable("the bell is broken", retry_after=0.01) for _ in range(2)]
    job = site.job()
    site.until_released(job, Phase.COMPLETED)
    eventually(lambda: hearer.knows_all(site), "all was told")
    assert hearer.of(job) == [Phase.QUEUED, Phase.EXECUTING, Phase.COMPLETED]
    assert in_order(hearer)


def test_health_says_who_cannot_be_told_and_that_it_is_over(site: Site) -> None:
    hearer = Hearer()
    hearer.refuse = [Unavailable("the bell is broken", retry_after=60)]
    supervisor = site.supervisor(observers={"one": hearer})
    begun(site, "one")
    site.job(run=False)
    told = eventually(lambda: site.storage.health().get("plugin one"), "health says so")
    assert told.state is HealthState.DEGRADED
    assert told.sentence == "it waits to be told of changes: the bell is broken"
    supervisor.stop()  # which does not wait for the minute to be over
    hearer.refuse = []
    site.supervisor(observers={"one": hearer})
    eventually(
        lambda: site.storage.health()["plugin one"].state is HealthState.OK, "health says so"
    )
    assert hearer.knows_all(site)


class Full(WatchedStorage):
    """One that takes no records of a stream, or no health, as long as it is told to."""

    refusing = ""

    def append(self, stream, record, key=None):
        if self.refusing == stream:
            raise StorageFull("the disk is full")
        return super().append(stream, record, key)

    def set_health(self, component, health):
        if self.refusing == "health" and component.startswith("plugin "):
            raise StorageFull("the disk is full")
        super().set_health(component, health)


def test_what_cannot_be_kept_is_no_reason_to_tell_it_again(site: Site) -> None:
    storage, hearer = Full(MemoryOptions(universe=site.universe)), Hearer()
    site.supervisor(storage=storage, observers={"one": hearer})
    begun(site, "one")
    storage.refusing = "observed"
    jobs = [site.job(run=False) for _ in range(3)]
    eventually(lambda: hearer.knows_all(site), "all was told")
    jobs.append(site.job(run=False))
    eventually(lambda: hearer.knows_all(site), "the last one, too")
    storage.refusing = ""
    newest = site.storage.changes(-1)[0]
    eventually(
        lambda: [one.data["seq"] for one in site.storage.records("observed")] == [newest],
        "it is kept as soon as that can be",
    )
    assert [job_id for _, job_id, _ in hearer.heard] == [job.id for job in jobs]


def test_health_that_cannot_be_stored_tells_nobody_twice(site: Site) -> None:
    storage, hearer = Full(MemoryOptions(universe=site.universe)), Hearer()
    hearer.refuse = [Unavailable("the bell is broken", retry_after=0.01) for _ in range(2)]
    site.supervisor(storage=storage, observers={"one": hearer})
    begun(site, "one")
    storage.refusing = "health"
    jobs = [site.job(run=False) for _ in range(2)]
    eventually(lambda: hearer.knows_all(site), "all was told")
    assert [job_id for _, job_id, _ in hearer.heard] == [job.id for job in jobs]
    assert "plugin one" not in site.storage.health()


def test_one_that_comes_back_when_another_has_gone_on_writes_nothing(site: Site) -> None:
    entered, gate, hearer = threading.Event(), threading.Event(), Hearer()

    def hangs(change) -> None:
        entered.set()
        gate.wait(60)

    late = site.supervisor(observers={"one": hangs}, lease_seconds=1.0)
    begun(site, "one")
    site.job(run=False)
    assert entered.wait(20)
    late._tenure.stop()  # its lease is another's from now on
    site.supervisor(observers={"one": hearer})
    site.job(run=False)
    eventually(lambda: hearer.knows_all(site), "the other was told")
    newest = site.storage.changes(-1)[0]
    mark = "the other has kept that"
    eventually(lambda: site.storage.records("observed")[0].data["seq"] == newest, mark)
    late._observers[0].finish()
    gate.set()
    late._observers[0].join(20)
    assert site.storage.records("observed")[0].data["seq"] == newest


def test_health_waits_for_nobody_that_there_is_no_more(site: Site) -> None:
    hearer = Hearer()
    hearer.refuse = [Unavailable("the bell is broken", retry_after=60)]
    supervisor = site.supervisor(observers={"one": hearer})
    begun(site, "one")
    site.job(run=False)
    eventually(lambda: "plugin one" in site.storage.health(), "health says that it waits")
    supervisor.stop()
    site.supervisor()
    told = site.storage.health()["plugin one"]
    assert told.state is HealthState.OK
    assert told.sentence == "it is not installed any more, or not in use"


def test_what_was_told_a_while_ago_is_not_told_again_after_a_crash(site: Site, monkeypatch) -> None:
    """A long batch is remembered while it is told."""
    entered, gate, hearer = threading.Event(), threading.Event(), Hearer()
    monkeypatch.setattr("opus_core.supervisor.observe._REPEATED", 0.0)

    def slow(change) -> None:
        hearer(change)
        if len(hearer.heard) == 3:
            entered.set()
            gate.wait(60)

    before = site.supervisor(observers={"one": slow})
    begun(site, "one")
    before.stop()
    for _ in range(5):
        site.job(run=False)
    site.supervisor(observers={"one": slow})
    try:
        assert entered.wait(20)
        [mark] = [one for one in site.storage.records("observed") if one.key == "one"]
        assert mark.data["seq"] == hearer.heard[1][0]
    finally:
        gate.set()


def test_a_mistake_of_a_plugin_costs_it_that_change_alone(site: Site, caplog) -> None:
    hearer = Hearer()
    site.supervisor(observers={"one": hearer})
    begun(site, "one")
    hearer.refuse = [RuntimeError("a mistake of the plugin")]
    job = site.job()
    site.until_released(job, Phase.COMPLETED)
    eventually(lambda: hearer.knows_all(site), "all was told")
    assert hearer.of(job) == [Phase.EXECUTING, Phase.COMPLETED]
    [failure] = [one for one in caplog.records if one.exc_info]
    assert failure.facts == {"observer": "one", "job": job.id}


def test_one_that_hangs_holds_up_no_other(site: Site) -> None:
    gate, hearer = threading.Event(), Hearer()
    observers = {"hangs": lambda change: gate.wait(60), "hears": hearer}
    site.supervisor(observers=observers)
    try:
        begun(site, *observers)
        jobs = [site.job() for _ in range(3)]
        for job in jobs:
            site.until_released(job, Phase.COMPLETED)
        eventually(lambda: hearer.knows_all(site), "the other was told of all")
    finally:
        gate.set()


def test_each_goes_on_where_it_has_stopped(site: Site) -> None:
    first = site.supervisor(observers={"one": Hearer(), "two": Hearer()})
    begun(site, "one", "two")
    first.stop()
    one = Hearer()
    site.job(run=False)
    second = site.supervisor(observers={"one": one})
    eventually(lambda: one.knows_all(site), "one was told")
    second.stop()
    one, two = Hearer(), Hearer()
    site.job(run=False)
    site.supervisor(observers={"one": one, "two": two})
    eventually(lambda: one.knows_all(site) and two.knows_all(site), "both were told")
    assert (len(one.heard), len(two.heard)) == (1, 2)


def test_one_that_was_stopped_in_the_middle_tells_the_rest_next_time(site: Site) -> None:
    entered, gate = threading.Event(), threading.Event()
    first = Hearer()

    def slow(change) -> None:
        first(change)
        entered.set()
        gate.wait(60)

    supervisor = site.supervisor(observers={"one": slow})
    begun(site, "one")
    jobs = [site.job(run=False) for _ in range(3)]
    assert entered.wait(20)
    stopping = threading.Thread(target=supervisor.stop)
    stopping.start()
    eventually(lambda: supervisor._observers[0]._stopping.is_set(), "it is to stop")
    gate.set()
    stopping.join(20)
    told = len(first.heard)
    assert told < 3
    second = Hearer()
    site.supervisor(observers={"one": second})
    eventually(lambda: second.knows_all(site), "all was told")
    assert [job_id for _, job_id, _ in first.heard + second.heard] == [job.id for job in jobs]


def test_only_the_acting_supervisor_tells(site: Site) -> None:
    hearers = [Hearer(), Hearer()]
    supervisors = [site.supervisor(observers={"one": hearer}) for hearer in hearers]
    eventually(lambda: site.storage.records("observed"), "one knows where it begins")
    job = site.job()
    site.until_released(job, Phase.COMPLETED)
    eventually(lambda: any(one.knows_all(site) for one in hearers), "all was told")
    assert [bool(one.heard) for one in hearers] == [one.acting for one in supervisors]
