"""`opus jobs`: an operator finds, understands and stops jobs beside a running server."""

from __future__ import annotations

import json

import pytest

from opus_core.why import NO_SUPERVISOR
from servers import describe_ledger, eventually, runs, site


@pytest.fixture
def one(tmp_path):
    with site(tmp_path / "site") as opened:
        describe_ledger(opened)
        yield opened


def said(one, *words: str, code: int = 0) -> str:
    done = one.opus("jobs", *words, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def id_of(job: str) -> str:
    return job.rpartition("/")[2]


def test_jobs_are_listed_explained_and_aborted(one, tmp_path):
    one.serve()
    ledger = tmp_path / "ledger"
    done = id_of(one.create("ledger", {"ledger": str(ledger)}))
    pending = id_of(
        one.create("ledger", {"ledger": str(ledger), "RUNID": "a\u202enight"}, run=False)
    )
    url = one.create("ledger", {"ledger": str(ledger), "seconds": "60"})
    running = id_of(url)
    one.wait(one.url + f"/rest/ledger/{done}")
    one.wait(url, {"EXECUTING"})

    rows = [line.split() for line in said(one, "list").splitlines()]
    assert [row[:3] for row in rows] == [
        ["ID", "PHASE", "DESCRIPTION"],
        [running, "EXECUTING", "ledger"],
        [pending, "PENDING", "ledger"],
        [done, "COMPLETED", "ledger"],
    ]
    assert "a\N{REPLACEMENT CHARACTER}night" in said(one, "list")
    [row] = [
        json.loads(line) for line in said(one, "list", "--phase", "pending", "--json").splitlines()
    ]
    assert (row["id"], row["run_id"]) == (pending, "a\u202enight")
    assert said(one, "list", "--owner", "ann").count("\n") == 1

    assert json.loads(said(one, "show", running[:12]))["jobId"] == running
    assert said(one, "why", pending) == "nobody has asked for it to run yet\n"
    assert said(one, "why", running).startswith("it has been running since ")
    assert said(one, "why", done).startswith("it ended at ")

    line = said(one, "abort", running, pending)
    assert f"{pending} ABORTED: " in line
    assert one.wait(url) == "ABORTED"
    assert "exit" not in said(one, "why", running)
    assert runs(ledger) == 2
    audit = one.opus("audit").stdout
    assert "job aborted" not in audit  # these are nobody's: nobody was stepped on


def test_without_a_supervisor_it_says_so(one, tmp_path):
    one.configure(supervisor="embedded = false")
    one.serve()
    job = id_of(one.create("ledger", {"ledger": str(tmp_path / "ledger")}))
    assert said(one, "why", job) == f"it is about to be submitted; {NO_SUPERVISOR}\n"
    one.start("supervise")
    eventually(lambda: said(one, "why", job).startswith("it ended at "))


def test_the_beginning_of_an_id_is_enough_if_no_other_job_begins_so(one, tmp_path):
    one.serve()
    fields = {"ledger": str(tmp_path / "ledger")}
    ids: dict[str, str] = {}
    while True:
        job = id_of(one.create("ledger", fields, run=False))
        twin = ids.setdefault(job[:1], job)
        if twin != job:
            break
    start = next(number for number in range(32) if twin[:number] != job[:number]) - 1
    for number in range(60):
        one.create("ledger", {**fields, "RUNID": f"{number} {job[:5]}"}, run=False)
    assert json.loads(said(one, "show", job[:12]))["jobId"] == job
    if start >= 4:
        assert f"several jobs begin with {job[:start]!r}" in said(one, "why", job[:start], code=2)


MISTAKES = {
    "nothing begins so": (("show", "f" * 32), "there is no job 'ffffffffffffffffffffffffffffffff'"),
    "too short": (("why", "ab"), "'ab' is too short; 4 characters of an id are the fewest"),
    "no number": (("list", "--last", "0"), "0 is not 1 or more"),
    "no phase": (("list", "--phase", "RUNING"), "invalid choice: 'RUNING'"),
}


@pytest.mark.parametrize(("words", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_a_sentence(one, words, sentence):
    assert sentence in said(one, *words, code=2)
