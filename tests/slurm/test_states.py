"""Whatever becomes of a job on a cluster: the right phase, and a sentence that says what happened.

Jobs wait side by side: what takes long is begun before the first test and looked at by the last.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack, suppress

import pytest

from servers import eventually
from services.slurm_fixture import slurm_cluster
from slurm.sites import FAR, NEAR, PATIENCE, lines, manager, reachable, shim, stage

pytestmark = pytest.mark.takes(100)

WHOLE = {"slurm_nodes": "2", "slurm_ntasks_per_node": "4"}  # the cluster


@pytest.fixture(scope="module", autouse=True)
def slow(near) -> dict[str, str]:
    """Jobs whose end takes long."""
    jobs = {"over time": near.work("sleep 600")}
    native_id = near.runs(jobs["over time"])
    near.scontrol("update", f"jobid={native_id}", "EndTime=now+1")
    return jobs


@pytest.fixture(scope="module")
def rough():
    """Another cluster, whose nodes fail, and which keeps no accounting."""
    with slurm_cluster(accounting=False, node_timeout=5) as one:
        yield one


@pytest.fixture(scope="module")
def plain(rough):
    """Its jobs begin once; what scancel is asked is written down."""
    scancel = shim(
        rough.folder / "bin",
        "scancel",
        f'#!/bin/bash\necho "$*" >> {rough.folder}/bin/asked\nexec scancel "$@"\n',
    )
    table = manager(rough, NEAR, commands=f'{{ scancel = "{scancel}" }}')
    with stage(rough, NEAR, manager=table) as one:
        yield one


@pytest.fixture(scope="module")
def again(rough):
    """The site lets SLURM queue jobs again."""
    with stage(rough, NEAR, manager=manager(rough, NEAR, sbatch_options='["--requeue"]')) as one:
        yield one


@pytest.fixture
def book(rough, request):
    """As `ledger`, for jobs of that cluster."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return reachable(rough.folder / "ledgers") / name


# -- it waits


def test_a_partition_that_is_down_is_named_and_the_job_goes_on_later(each):
    job = each.work(slurm_partition="down")
    each.waits(job, "QUEUED", "its partition is closed for the time being (PartitionDown)")
    each.scontrol("update", f"jobid={each.native(job)}", "partition=main")
    each.ends(job, "COMPLETED")
    assert each.info(job) == ""


def test_what_waits_for_ever_is_told_to_ask_for_less(near):
    job = near.work(slurm_partition="short", EXECUTIONDURATION="600")
    near.waits(job, "QUEUED", "wait for ever: ABORT it", "ask for less time", "PartitionTimeLimit")
    near.site.post(f"{job}/phase", {"PHASE": "ABORT"})
    near.ends(job, "ABORTED")
    near.becomes(job, "CANCELLED")


def test_free_nodes_are_waited_for(plain):
    first = plain.work("sleep 600", slurm_partition="tiny", slurm_cpus_per_task="4")
    plain.runs(first)
    second = plain.work("sleep 600", slurm_partition="tiny", slurm_cpus_per_task="4")
    plain.waits(second, "QUEUED", "waiting for free nodes (Resources)")
    third = plain.work("sleep 600", slurm_partition="tiny", slurm_cpus_per_task="4")
    plain.waits(third, "QUEUED", "jobs of a higher priority go first (Priority)")
    for job in (first, second, third):
        plain.site.post(f"{job}/phase", {"PHASE": "ABORT"})
    for job in (first, second, third):
        plain.ends(job, "ABORTED")


def test_a_job_held_by_its_account_is_released_by_run(each, ledger):
    job = each.work(ledger=ledger, slurm_partition="down")
    native_id = each.native(job)
    # Root's own word is an administrator's.
    each.scontrol("hold" if each.way == FAR else "uhold", native_id, user=each.user)
    each.waits(job, "HELD", "send PHASE=RUN to release it (JobHeldUser)")
    each.scontrol("update", f"jobid={native_id}", "partition=main")
    answer = each.site.post(f"{job}/phase", {"PHASE": "RUN"})
    assert answer.status == 303
    each.ends(job, "COMPLETED")
    assert lines(ledger) == 1


def test_a_job_held_by_an_administrator_is_left_to_them(far, ledger):
    job = far.work(ledger=ledger, slurm_partition="down")
    native_id = far.native(job)
    far.scontrol("hold", native_id)
    far.waits(job, "HELD", "by an administrator of the cluster, who alone", "JobHeldAdmin")
    assert far.site.post(f"{job}/phase", {"PHASE": "RUN"}).status == 303
    said = eventually(lambda: far.info(job, "resume"), PATIENCE)
    assert "only the administrators of the cluster can release it" in said
    assert far.site.phase(job) == "HELD"
    far.scontrol("release", native_id)
    far.waits(job, "QUEUED", "PartitionDown")
    far.scontrol("update", f"jobid={native_id}", "partition=main")
    far.ends(job, "COMPLETED")
    assert far.info(job, "resume") == ""
    assert lines(ledger) == 1


def test_a_suspended_job_is_suspended_until_it_goes_on(each, ledger):
    job = each.work("sleep 3", ledger)
    native_id = each.runs(job)
    each.scontrol("suspend", native_id)
    each.waits(job, "SUSPENDED", "the cluster has suspended it")
    each.scontrol("resume", native_id)
    each.site.wait(job, {"EXECUTING", "COMPLETED"}, PATIENCE)
    each.ends(job, "COMPLETED")
    assert lines(ledger) == 1


def test_a_partition_that_takes_no_jobs_is_tried_again(near):
    job = near.work(slurm_partition="inactive")
    near.waits(job, "QUEUED", "its partition takes no jobs for the time being")
    assert near.queue(job) == []
    near.scontrol("update", "partitionname=inactive", "state=up")
    try:
        near.ends(job, "COMPLETED")
    finally:
        near.scontrol("update", "partitionname=inactive", "state=inactive")


# -- it ends


def test_a_time_limit_of_ours_is_kept_to_the_second(each):
    job = each.work("sleep 60", EXECUTIONDURATION="2")
    each.ends(job, "ABORTED", "execution duration of 2 s exceeded")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("exit 7", "the script ended with exit code 7"),
        ("kill -SEGV $$", "the script was ended by signal 11"),
        ("kill -KILL $$", "the script was ended by signal 9"),
        ("exit 255", "the script ended with exit code 255"),
    ],
)
def test_a_script_that_fails_is_an_error_that_says_how(near, command, sentence):
    job = near.work(command)
    near.ends(job, "ERROR", sentence)


@pytest.mark.parametrize("trap", ["", "trap '' TERM; ", "trap 'exit 3' TERM; "])
def test_scancel_from_outside_ends_what_runs(each, trap):
    # The sleep may be told first, which is no reason for the script to end well.
    job = each.work(f"{trap}echo here; while :; do sleep 600 & wait; done")
    native_id = each.runs(job)
    each.prints(job, "here\n")
    each.cluster.run("scancel", native_id)
    each.ends(job, "ABORTED", "cancelled on the cluster")


def test_scancel_from_outside_ends_what_waits(each, ledger):
    job = each.work(ledger=ledger, slurm_partition="down")
    each.cluster.run("scancel", each.native(job))
    each.ends(job, "ABORTED", "cancelled on the cluster")
    assert lines(ledger) == 0


def test_a_kill_that_spares_nobody_ends_it_all_the_same(near):
    job = near.work("sleep 600")
    near.cluster.run("scancel", "--signal=KILL", "--full", near.runs(job))
    near.ends(job, "ABORTED", "cancelled on the cluster")


def test_an_abort_is_not_blamed_on_the_cluster(each):
    job = each.work("sleep 600")
    each.runs(job)
    each.site.post(f"{job}/phase", {"PHASE": "ABORT"})
    assert each.ends(job, "ABORTED") == ""
    each.becomes(job, "CANCELLED")


def test_a_deadline_that_passes_is_said(plain, book):
    filler = plain.work("sleep 600", slurm_partition="tiny", slurm_cpus_per_task="4")
    plain.runs(filler)
    job = plain.work(ledger=book, slurm_partition="tiny", slurm_cpus_per_task="4")
    plain.scontrol("update", f"jobid={plain.native(job)}", "deadline=now+5")
    plain.ends(job, "ABORTED", "it could not be started in time", "DEADLINE")
    plain.site.post(f"{filler}/phase", {"PHASE": "ABORT"})
    plain.ends(filler, "ABORTED")
    assert lines(book) == 0


def test_a_job_whose_folder_is_gone_cannot_be_launched(near, ledger):
    job = near.work(ledger=ledger, slurm_partition="down")
    native_id = near.native(job)
    shutil.rmtree(near.folder(job))
    near.scontrol("update", f"jobid={native_id}", "partition=main")
    near.ends(job, "ERROR", "the cluster could not launch it", "FAILED")
    assert lines(ledger) == 0


def test_a_node_that_cannot_be_prepared_ends_a_job_that_may_not_try_again(plain, book):
    plain.cluster.hook("prologctld", "#!/bin/sh\nexit 1\n")
    try:
        job = plain.work(ledger=book)
        # SLURM cancels it, and says no more than that.
        plain.ends(job, "ABORTED", "cancelled on the cluster (the cluster says: CANCELLED)")
    finally:
        plain.cluster.hook("prologctld", None)
    assert lines(book) == 0


def test_more_memory_than_the_nodes_have_is_refused_and_nothing_is_left(plain, book):
    job = plain.work(ledger=book, slurm_mem="8000")
    plain.ends(
        job, "ERROR", "the cluster refused the job", "no node of the cluster has what it asks"
    )
    asked = plain.cluster.folder / "bin/asked"
    # What it leaves behind under an id that nobody was told.
    eventually(lambda: f"--name={plain.name(job)}" in asked.read_text(), PATIENCE)
    assert {one.split()[0] for one in plain.queue(job, "%T")} <= {"FAILED", "CANCELLED"}
    assert lines(book) == 0


def test_too_much_memory_without_cgroups_is_a_kill_that_is_explained(near):
    job = near.work("x=$(head -c 150M /dev/zero | tr '\\0' x); sleep 600", slurm_mem="20")
    near.ends(job, "ERROR", "by signal 9", "too much memory")


# -- it is queued again


def test_a_requeue_before_the_script_began_is_only_a_delay(again, book):
    again.cluster.hook("prologctld", "#!/bin/sh\nsleep 3\n")
    try:
        job = again.work(ledger=book)
        again.becomes(job, "CONFIGURING")
        again.scontrol("requeue", again.native(job))
    finally:
        again.cluster.hook("prologctld", None)
    again.waits(job, "QUEUED", "before it begins (BeginTime)")
    again.ends(job, "COMPLETED")
    assert again.queue(job, "%r") == ["None"]
    assert lines(book) == 1


def test_a_requeue_after_the_script_began_does_not_run_it_twice(again, book):
    job = again.work("sleep 600", book)
    native_id = again.runs(job)
    eventually(lambda: lines(book) == 1, PATIENCE)
    again.scontrol("requeue", native_id)
    again.ends(job, "ERROR", "the cluster restarted it after it had begun; run it again")
    again.becomes(job, "CANCELLED")
    assert lines(book) == 1


def test_a_job_that_may_not_be_requeued_is_not(plain, book):
    job = plain.work("sleep 2", book)
    refused = plain.cluster.run("scontrol", "requeue", plain.runs(job), check=False)
    assert "Requested operation is presently disabled" in refused.stderr
    plain.ends(job, "COMPLETED")
    assert lines(book) == 1


def test_preemption_that_cancels_is_named(plain, book):
    low = plain.work("sleep 600", book, slurm_partition="low", **WHOLE)
    plain.runs(low)
    eventually(lambda: lines(book) == 1, PATIENCE)
    high = plain.work(slurm_partition="high", **WHOLE)
    plain.ends(low, "ABORTED", "it had to make room for another job", "run it again")
    plain.ends(high, "COMPLETED")
    assert lines(book) == 1


def test_preemption_that_requeues_what_has_begun_is_an_error(again, book):
    low = again.work("sleep 600", book, slurm_partition="lowrq", **WHOLE)
    again.runs(low)
    eventually(lambda: lines(book) == 1, PATIENCE)
    high = again.work(slurm_partition="high", **WHOLE)
    again.ends(low, "ERROR", "the cluster restarted it after it had begun; run it again")
    again.ends(high, "COMPLETED")
    assert lines(book) == 1


# -- what takes long


def test_a_node_that_fails_takes_its_jobs_along(plain, again, book, rough):
    """Their processes go on: nothing that they still do counts."""
    one = plain.work("sleep 600", book, slurm_partition="tiny")
    two = again.work("sleep 600", book, slurm_partition="tiny")
    for each, job in ((plain, one), (again, two)):
        each.runs(job)
    eventually(lambda: lines(book) == 2, PATIENCE)
    rough.kill("node1")
    plain.ends(one, "ERROR", "the machine it ran on failed", "NODE_FAIL", "run it again")
    # It waits for its node and runs again there: in vain.
    rough.start("node1")
    again.ends(two, "ERROR", "the cluster restarted it after it had begun; run it again")
    assert lines(book) == 2
    rough.restore()


def test_an_operator_who_takes_a_node_down_ends_its_jobs(plain, book, rough):
    job = plain.work("sleep 600", book, slurm_partition="tiny")
    plain.runs(job)
    plain.scontrol("update", "nodename=node1", "state=down", "reason=test")
    plain.ends(job, "ERROR", "the machine it ran on failed", "NODE_FAIL")
    rough.restore()


def _cgroups() -> list[str]:
    """What this machine lacks for limits on memory by cgroups."""
    with suppress(OSError):
        os.rmdir(tempfile.mkdtemp(prefix="opus-test-", dir="/sys/fs/cgroup/memory"))
        return []
    return ["cgroups (v1) that can be written to"]


@pytest.mark.slow
def test_a_memory_limit_by_cgroups_is_named():
    if lacking := _cgroups():
        pytest.skip(f"not on this machine: {lacking[0]}")
    conf = (
        "ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup\n"
        "JobAcctGatherParams=NoOverMemoryKill"
    )
    cgroup = (
        "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=yes\n"
    )
    with ExitStack() as stack:
        one = stack.enter_context(
            slurm_cluster(nodes=1, accounting=False, extra_conf=conf, cgroup_conf=cgroup)
        )
        site = stack.enter_context(stage(one, NEAR))
        job = site.work("x=$(head -c 150M /dev/zero | tr '\\0' x); sleep 600", slurm_mem="20")
        site.ends(job, "ERROR", "memory limit exceeded; ask for more memory")


def test_a_time_limit_of_slurm_is_a_duration_that_was_exceeded(near, slow):
    near.ends(slow["over time"], "ABORTED", "execution duration exceeded", "TIMEOUT")
