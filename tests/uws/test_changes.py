"""`/changes`: what has happened to one's own jobs."""

from __future__ import annotations

import json
import sqlite3
import threading
import time

import pytest

from opus_core.job import DefinitionRef, Job, new_id, now
from servers import site
from uws.conftest import PREFIX
from uws.documents import id_of
from uws.jobs import WORK, describe
from uws.slots import full
from uws.storage import opened

AT_ONCE = 1.0  # [s]


def changes(one, query: str = "", **more) -> dict:
    answer = one.get(f"/changes{query}", **more)
    assert answer.status == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    said = json.loads(answer.body)
    assert set(said) == {"seq", "reset", "changes"}
    return said


def phases(said: dict, job: str) -> list[tuple[str | None, str | None]]:
    return [(row["from"], row["phase"]) for row in said["changes"] if row["jobId"] == id_of(job)]


def test_without_a_number_the_one_to_begin_with_is_answered_at_once(one):
    one.create("work", run=False)
    begin = time.monotonic()
    said = changes(one, "?WAIT=30")
    assert time.monotonic() - begin < AT_ONCE
    assert said["seq"] > 0
    assert (said["reset"], said["changes"]) == (False, [])


def test_what_happened_since_is_told_in_order(one):
    since = changes(one)["seq"]
    job = one.create("work", {"RUNID": "r"})
    one.wait(job)
    one.request("DELETE", job)
    said = changes(one, f"?after={since}")
    assert phases(said, job) == [
        (None, "QUEUED"),
        ("QUEUED", "EXECUTING"),
        ("EXECUTING", "COMPLETED"),
        ("COMPLETED", None),
    ]
    rows = [row for row in said["changes"] if row["jobId"] == id_of(job)]
    for row in rows:
        assert row["href"] == job
        assert (row["name"], row["runId"], row["ownerId"]) == ("work", "r", None)
    numbers = [row["seq"] for row in said["changes"]]
    assert numbers == sorted(set(numbers))
    assert since < numbers[0]
    assert numbers[-1] <= said["seq"]
    assert phases(changes(one, f"?after={said['seq']}"), job) == []


@pytest.mark.parametrize("wait", ["30", "-1"])
def test_it_waits_until_there_is_something(one, jobs, wait):
    """Nothing else happens on that server meanwhile."""
    with_wait = f"?after={changes(one)['seq']}&WAIT={wait}"
    timer = threading.Timer(0.5, one.post, (jobs, {}))
    begin = time.monotonic()
    timer.start()
    said = changes(one, with_wait)
    timer.join()
    assert [row["phase"] for row in said["changes"]] == ["PENDING"]
    assert 0.4 < time.monotonic() - begin < 0.5 + 2 * AT_ONCE


def test_it_returns_empty_when_its_time_is_up(still):
    said = changes(still, f"?after={changes(still)['seq']}")
    begin = time.monotonic()
    assert changes(still, f"?after={said['seq']}&WAIT=1") == said | {"changes": []}
    assert 0.9 < time.monotonic() - begin < 1 + AT_ONCE
    begin = time.monotonic()
    changes(still, f"?after={said['seq']}&WAIT=-1")
    assert 1.9 < time.monotonic() - begin < 2 + AT_ONCE  # max_wait


def test_a_change_of_another_process_wakes(still):
    since = changes(still)["seq"]

    def other():
        with opened(still) as storage:
            storage.add(Job(id=new_id(), definition=DefinitionRef("work", 1), created=now()))

    timer = threading.Timer(0.3, other)
    timer.start()
    begin = time.monotonic()
    assert len(changes(still, f"?after={since}&WAIT=2")["changes"]) == 1
    assert time.monotonic() - begin < 2
    timer.join()


def test_one_hears_of_one_s_own_jobs_alone(gate):
    def asked(user, query=""):
        answer = gate.get(f"{PREFIX}/changes{query}", headers={"X-Test-User": user})
        return json.loads(answer.body)

    since = asked("eve")["seq"]
    mine = gate.post(f"{PREFIX}/rest/work", {}, headers={"X-Test-User": "eve"}).location
    other = gate.post(f"{PREFIX}/rest/work", {}, headers={"X-Test-User": "fay"}).location
    said = asked("eve", f"?after={since}")
    assert [row["href"] for row in said["changes"]] == [mine]
    assert said["changes"][0]["ownerId"] == "eve"
    assert [row["href"] for row in asked("fay", f"?after={since}")["changes"]] == [other]
    assert gate.get(f"{PREFIX}/changes").status == 401


def test_a_change_of_somebody_else_wakes_nobody(gate):
    headers = {"X-Test-User": "gil"}
    since = json.loads(gate.get(f"{PREFIX}/changes", headers=headers).body)["seq"]
    timer = threading.Timer(
        0.2, gate.post, (f"{PREFIX}/rest/work", {}), {"headers": {"X-Test-User": "hal"}}
    )
    timer.start()
    begin = time.monotonic()
    answer = gate.get(f"{PREFIX}/changes?after={since}&WAIT=1", headers=headers)
    timer.join()
    assert time.monotonic() - begin > 0.9
    said = json.loads(answer.body)
    assert said["changes"] == []
    assert said["seq"] >= since


def test_who_may_not_list_anonymous_jobs_is_not_told_of_them(tmp_path):
    with site(tmp_path / "quiet") as quiet:
        quiet.configure(auth="anonymous = true", supervisor="embedded = false")
        describe(quiet, WORK)
        quiet.serve()
        quiet.create("work", run=False)
        assert changes(quiet, "?after=0&WAIT=0")["changes"] == []


def test_after_a_gap_one_begins_again(tmp_path):
    with site(tmp_path / "gap") as gap:
        gap.configure(supervisor="embedded = false")
        describe(gap, WORK)
        gap.serve()
        for _ in range(3):
            gap.create("work", run=False)
        newest = changes(gap)["seq"]
        # As the storage itself does with what is older than thirty days.
        with sqlite3.connect(next((gap.folder / "data").glob("*.sqlite"))) as database:
            database.execute("DELETE FROM journal WHERE seq <= 2")
            database.execute("INSERT OR REPLACE INTO horizon (name, seq) VALUES ('journal', 2)")
        expected = {"seq": newest, "reset": True, "changes": []}
        begin = time.monotonic()
        assert changes(gap, "?after=1&WAIT=30") == expected
        assert time.monotonic() - begin < AT_ONCE
        assert changes(gap, "?after=2")["reset"] is False


def test_a_number_from_another_life_of_the_storage_begins_again(still):
    newest = changes(still)["seq"]
    said = changes(still, f"?after={newest + 1000}&WAIT=30")
    assert said == {"seq": newest, "reset": True, "changes": []}


def test_long_stories_come_in_parts(one, jobs):
    since = changes(one)["seq"]
    for _ in range(1001):
        one.post(jobs, {})
    first = changes(one, f"?after={since}")
    second = changes(one, f"?after={first['seq']}&WAIT=30")
    assert (len(first["changes"]), len(second["changes"])) == (1000, 1)


@pytest.mark.parametrize(
    "query", ["?after=x", "?after=", "?after=-5", "?after=1&after=2", "?after=1&WAIT=x"]
)
def test_what_makes_no_sense_is_400(one, query):
    assert one.get(f"/changes{query}").status == 400


def test_beyond_the_slots_it_answers_at_once(tmp_path):
    with full(tmp_path / "full") as one:
        since = changes(one)["seq"]
        begin = time.monotonic()
        assert changes(one, f"?after={since}&WAIT=30")["changes"] == []
        assert time.monotonic() - begin < AT_ONCE
