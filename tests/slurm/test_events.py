"""A site's own completion script tells the server, which then need not wait for a poll."""

from __future__ import annotations

import time

import pytest

from servers import eventually
from slurm.sites import NEAR, PATIENCE, lines, stage, supervisor

CONTROLLER = "127.0.0.2"  # an address that no wrapper and no test comes from


@pytest.fixture(scope="module")
def told(cluster):
    """A server that polls once an hour, and that no wrapper can reach: it only knows what SLURM's
    controller tells it. As docs/admin/slurm.md has it."""
    with stage(
        cluster,
        NEAR,
        server="threads = 16\nevent_url = 'http://127.0.0.1:9/nowhere'",
        supervisor=supervisor(poll_interval="3600"),
        auth=f'anonymous = true\nanonymous_list = true\njob_servers = ["{CONTROLLER}"]',
    ) as one:
        cluster.hook(
            "jobcomp",
            "#!/bin/sh\n"
            "case $JOBNAME in\n"
            f'    opus-*) curl -s -m 5 --interface {CONTROLLER} -d "jobid=$JOBID"'
            f' -d "phase=$JOBSTATE" {one.site.url}/handler/job_event ;;\n'
            "esac\n"
            "exit 0\n",
        )
        first = one.work()  # with it the first poll is over
        one.ends(first, "COMPLETED")
        yield one
        cluster.hook("jobcomp", None)


def test_jobs_end_within_seconds(told, ledger):
    begin = time.monotonic()
    good = told.work("echo all is well", ledger)
    bad = told.work("exit 3", ledger)
    told.ends(good, "COMPLETED")
    told.ends(bad, "ERROR", "exit code 3")
    assert time.monotonic() - begin < 15
    assert told.site.get(f"{good}/stdout").text == "all is well\n"
    assert lines(ledger) == 2


def test_so_do_those_that_ended_otherwise(told, ledger):
    waiting = told.work(ledger=ledger, slurm_partition="down")
    running = told.work("sleep 600", ledger)
    struck = told.work("sleep 600", ledger)
    for job in (running, struck):
        told.becomes(job, "RUNNING")
    eventually(lambda: lines(ledger) == 2, PATIENCE)
    told.cluster.run("scancel", told.native(waiting))
    told.cluster.run("scancel", told.native(running))
    told.cluster.run("scancel", "--signal=KILL", "--full", told.native(struck))
    for job in (waiting, running, struck):
        told.ends(job, "ABORTED", "cancelled on the cluster")


@pytest.mark.parametrize("phase", ["COMPLETED", "ERROR", "ABORTED", "nonsense", ""])
def test_what_it_says_is_looked_into_and_never_believed(told, phase):
    job = told.work("sleep 600")
    native_id = told.native(job)
    told.becomes(job, "RUNNING")
    fields = {"jobid": native_id, "phase": phase}
    script = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--interface", CONTROLLER)
    form = [word for pair in fields.items() for word in ("-d", "=".join(pair))]
    url = f"{told.site.url}/handler/job_event"
    assert told.cluster.run(*script, *form, url).stdout == "200"
    assert told.site.wait(job, {"EXECUTING"}, PATIENCE)
    time.sleep(1)
    assert told.site.phase(job) == "EXECUTING"
    told.site.request("DELETE", job)


def test_from_another_address_it_is_refused(told):
    job = told.work(slurm_partition="down")
    fields = {"jobid": told.native(job), "phase": "COMPLETED"}
    assert told.site.post("/handler/job_event", fields).status == 403
    forged = {"X-Forwarded-For": CONTROLLER, "X-Real-IP": CONTROLLER}
    assert told.site.post("/handler/job_event", fields, headers=forged).status == 403
    assert told.site.phase(job) == "QUEUED"
    told.site.request("DELETE", job)
