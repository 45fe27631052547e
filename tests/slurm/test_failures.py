"""What fails between a server and its cluster: phases stay, somebody is told, nothing runs twice,
and all catches up by itself.

Every test says what is away in a `with`, which brings it back.
"""

from __future__ import annotations

import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager
from statistics import quantiles

import pytest

from servers import eventually
from services.slurm_fixture import slurm_cluster
from slurm.sites import (
    FAR,
    NEAR,
    PATIENCE,
    id_of,
    lines,
    manager,
    reachable,
    stage,
    supervisor,
)

pytestmark = [pytest.mark.takes(300), pytest.mark.timeout(300)]

BACK = 90.0  # [s] for what waits until the other side is asked again


@pytest.fixture(autouse=True)
def _repaired(request):
    shared = {"cluster", "near", "far", "each", "either"}.intersection(request.fixturenames)
    one = request.getfixturevalue("cluster") if shared else None
    yield
    if one is not None:
        one.restore()


def told(one, *words, seconds=PATIENCE):
    """Wait until /availability and /healthz both say what is wrong."""

    def so():
        available = one.site.get("/availability", headers={"Accept": "application/json"}).text
        health = one.site.get("/healthz").text
        return all(word in available and word in health for word in words)

    try:
        eventually(so, seconds, 0.2)
    except AssertionError:
        raise AssertionError(f"nobody says {words}: {one.site.get('/healthz').text}") from None


def well(one, seconds=BACK):
    """Wait until nothing is wrong any more."""
    eventually(
        lambda: (
            '"available": true'
            in one.site.get("/availability", headers={"Accept": "application/json"}).text
        ),
        seconds,
        0.2,
    )


@contextmanager
def stopped(cluster, name):
    cluster.stop(name)
    try:
        yield
    finally:
        cluster.start(name)


@contextmanager
def killed(cluster, name):
    cluster.kill(name)
    try:
        yield
    finally:
        cluster.start(name)


@contextmanager
def paused(cluster, name):
    cluster.pause(name)
    try:
        yield
    finally:
        cluster.cont(name)


def test_a_controller_that_is_down_stops_nothing_for_good(either, ledger):
    running = either.work("sleep 8", ledger)
    waiting = either.work(ledger=ledger, slurm_partition="down")
    either.runs(running)
    either.waits(waiting, "QUEUED", "its partition is closed")
    time.sleep(5)  # it forgets its last seconds when it is killed
    with killed(either.cluster, "ctld"):
        told(either, "the slurm manager", "the controller of SLURM does not answer")
        late = either.work(ledger=ledger)
        either.waits(late, "QUEUED", "the cluster does not answer")
        assert either.site.phase(waiting) == "QUEUED"
        # The script ends, and its wrapper says so to us and to the folder.
        either.ends(running, "COMPLETED")
    well(either)
    either.ends(late, "COMPLETED", seconds=BACK)
    either.scontrol("update", f"jobid={either.native(waiting)}", "partition=main")
    either.ends(waiting, "COMPLETED", seconds=BACK)
    assert lines(ledger) == 3


def p99(seconds):
    return quantiles(seconds, n=100)[98]


def test_while_the_controller_hangs_requests_are_answered_and_nothing_runs_twice(near, ledger):
    """What sbatch had asked for is done when it thaws, though sbatch has given up by then."""

    def timed(ask):
        begin = time.perf_counter()
        answer = ask()
        took.append(time.perf_counter() - begin)
        return answer

    took = []
    fields = {"ledger": str(ledger)}
    jobs = [timed(lambda: near.site.create("work", fields, run=False)) for _ in range(200)]
    # What a write costs on this machine just now, with nothing wrong.
    usual, took = p99(took), []
    first = near.work("sleep 600")
    near.runs(first)
    with paused(near.cluster, "ctld"):
        hung = [near.work(ledger=ledger) for _ in range(4)]
        for job in hung:
            near.waits(job, "QUEUED", "the cluster does not answer")

        for job in jobs:
            path = f"{job}/phase"
            assert timed(lambda path=path: near.site.post(path, {"PHASE": "RUN"})).status == 303
        told(near, "the controller of SLURM hangs")
        assert near.site.phase(first) == "EXECUTING"
    # Who had waited for sbatch would have done so for at least as long as that waits itself.
    assert p99(took) < max(near.cluster.message_timeout / 2, 5 * usual), (
        f"{p99(took):.3f} s; usually {usual:.3f} s"
    )
    for job in (*hung, *jobs):
        near.ends(job, "COMPLETED", seconds=BACK)
    near.site.post(f"{first}/phase", {"PHASE": "ABORT"})
    near.ends(first, "ABORTED")
    assert lines(ledger) == len(jobs) + len(hung)
    well(near)


def test_without_the_accounting_only_what_has_left_the_queue_has_to_wait(near, ledger):
    with killed(near.cluster, "dbd"):
        one = near.work("sleep 1", ledger)
        near.ends(one, "COMPLETED")
        assert near.cluster.run("sacct", check=False).returncode != 0
        two = near.work(ledger=ledger, slurm_partition="down")
        near.waits(two, "QUEUED", "its partition is closed")
    near.cluster.run("scancel", near.native(two))
    near.ends(two, "ABORTED", "cancelled on the cluster")
    assert lines(ledger) == 1


def test_munge_that_is_down_is_named(either, ledger):
    running = either.work("sleep 2", ledger)
    either.runs(running)
    with stopped(either.cluster, "munge"):
        told(either, "munge does not work on that machine")
        late = either.work(ledger=ledger)
        either.waits(late, "QUEUED", "the cluster does not answer", "authentication")
        either.ends(running, "COMPLETED")
    either.ends(late, "COMPLETED", seconds=BACK)
    well(either)
    assert lines(ledger) == 2


# tests/manager_slurm/test_connection.py pauses it for the connection alone.
@pytest.mark.parametrize("harm", [pytest.param(paused, marks=pytest.mark.slow), killed])
def test_a_login_node_that_hangs_or_dies_holds_up_but_loses_nothing(far, ledger, harm):
    running = far.work("sleep 3; echo said", ledger)
    far.runs(running)
    with harm(far.cluster, "sshd"):
        told(far, "the slurm manager", seconds=2 * BACK)
        late = far.work(ledger=ledger)
        far.waits(late, "QUEUED", "the cluster does not answer")
        assert far.site.phase(running) == "EXECUTING"
    far.ends(late, "COMPLETED", seconds=BACK)
    far.ends(running, "COMPLETED", seconds=BACK)
    assert far.site.get(f"{running}/stdout").text == "said\n"
    well(far)
    assert lines(ledger) == 2


def test_a_host_key_that_has_changed_is_named_until_it_is_trusted(far, ledger):
    running = far.work("sleep 600")
    far.runs(running)
    far.cluster.rotate_host_key()
    told(far, f"the host key of {far.cluster.ssh_host} is not the one that is known")
    job = far.work(ledger=ledger)
    far.waits(job, "QUEUED", "the host key of", "if it was changed for a reason")
    assert far.site.phase(running) == "EXECUTING"
    far.cluster.trust_host_key()
    far.ends(job, "COMPLETED", seconds=BACK)
    well(far)
    assert lines(ledger) == 1


@contextmanager
def small_disk(folder, owner):
    """A file system of 256 kB, full but for a corner."""
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size=256k,mode=777,uid={owner}", "none", str(folder)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        (folder / "filler").write_bytes(bytes(240 * 1024))
        yield folder / "filler"
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full_on_the_cluster_defers_a_job(cluster, ledger):
    disk = cluster.home / "opus-small"
    with (
        small_disk(disk, cluster.user) as filler,
        stage(cluster, FAR, manager=manager(cluster, FAR, folder='"opus-small"')) as one,
    ):
        job = one.work(ledger=ledger)
        one.waits(job, "QUEUED", "the job's files cannot be had on", "No space left on device")
        assert one.queue(job) == []
        filler.unlink()
        one.ends(job, "COMPLETED", seconds=BACK)
    assert lines(ledger) == 1


# -- of other people's


def test_foreign_jobs_of_the_account_are_never_taken_for_ours(each, ledger):
    """Not by their names, nor by an id that the controller gave out twice."""
    foreign = {}
    for name in ("somebody-elses", "opus-", each.name("x" * 32)):
        words = ("sbatch", "--parsable", f"--job-name={name}", "--output=/dev/null")
        answer = each.cluster.run(*words, "--wrap=sleep 600", user=each.user)
        foreign[name] = answer.stdout.strip()
    job = each.work("sleep 600", ledger)
    each.runs(job)
    stop = each.work(ledger=ledger, slurm_partition="down")
    each.waits(stop, "QUEUED", "its partition is closed")
    each.site.request("DELETE", job)
    each.site.post(f"{stop}/phase", {"PHASE": "ABORT"})
    each.ends(stop, "ABORTED")
    each.becomes(job, "CANCELLED")
    query = ("squeue", "-h", "-t", "R,PD", "-j", ",".join(foreign.values()), "-o", "%i")
    assert sorted(each.cluster.run(*query).stdout.split()) == sorted(foreign.values())


def test_an_id_that_was_given_to_somebody_else_is_not_asked_about_nor_cancelled(near, ledger):
    """As after a crash of the controller: the job is lost, and its number another's."""
    job = near.work(ledger=ledger, slurm_partition="down")
    native_id = near.native(job)
    near.waits(job, "QUEUED", "its partition is closed")
    # The same number under another name; SLURM lets nobody choose a number.
    near.scontrol("update", f"jobid={native_id}", "name=somebody-elses", "comment=theirs")
    said = near.ends(job, "ERROR", "the job was lost", seconds=BACK)
    assert "run it again" in said
    query = ("squeue", "-h", "-j", native_id, "-o", "%T %j")
    assert near.cluster.run(*query).stdout.strip() == "PENDING somebody-elses"
    near.scontrol("update", f"jobid={native_id}", "partition=main")
    eventually(
        lambda: (
            near.cluster.run("squeue", "-h", "-t", "all", "-j", native_id, "-o", "%T").stdout
            == "COMPLETED\n"
        ),
        PATIENCE,
        0.1,
    )
    assert lines(ledger) == 0  # it found the seal


# -- of clusters that tell less


def test_what_has_left_the_queue_is_told_by_the_accounting():
    """Also where our clock was most of a day before or behind the cluster's."""
    with (
        slurm_cluster(nodes=1, min_job_age=2) as one,
        stage(one, NEAR, supervisor=supervisor(grace="60")) as near,
    ):
        book = reachable(one.folder / "ledgers") / "book"
        done = near.work(ledger=book)
        near.ends(done, "COMPLETED")
        cancelled = near.work(ledger=book, slurm_partition="down")
        running = near.work("sleep 600", book)
        near.waits(cancelled, "QUEUED", "its partition is closed")
        near.runs(running)
        eventually(lambda: lines(book) == 2, PATIENCE)
        near.site.stop()  # so that it sees nothing before they have left the queue
        one.run("scancel", "--name", near.name(cancelled))
        one.run("scancel", "--name", near.name(running), "--signal=KILL", "--full")
        eventually(lambda: not one.run("squeue", "-h", "-t", "all").stdout, BACK, 0.5)
        with closing(sqlite3.connect(near.site.folder / "base/opus.sqlite")) as database, database:
            for job, hours in ((cancelled, 20), (running, -20)):
                database.execute(
                    "UPDATE jobs SET submitted_at = submitted_at + ? WHERE id = ?",
                    (hours * 3600 * 10**6, id_of(job)),
                )
        near.site.serve()
        near.ends(cancelled, "ABORTED", "cancelled on the cluster (the cluster says: CANCELLED")
        near.ends(running, "ABORTED", "cancelled on the cluster")
        assert lines(book) == 2


def test_without_accounting_the_folder_and_the_queue_are_enough():
    with slurm_cluster(nodes=1, accounting=False, min_job_age=2) as one, stage(one, NEAR) as near:
        book = reachable(one.folder / "ledgers") / "book"
        done = near.work(ledger=book)
        failed = near.work("exit 3", book)
        near.ends(done, "COMPLETED")
        near.ends(failed, "ERROR", "exit code 3")
        gone = near.work(ledger=book, slurm_partition="down")
        near.waits(gone, "QUEUED", "its partition is closed")
        near.site.stop()
        one.run("scancel", "--name", near.name(gone))
        eventually(lambda: not one.run("squeue", "-h", "-t", "all").stdout, BACK, 0.5)
        near.site.serve()
        near.ends(gone, "ERROR", "the job was lost", "it had not begun", seconds=BACK)
        assert lines(book) == 2
        well(near)
