"""The private cluster itself: what the other tests of this folder stand on."""

from __future__ import annotations

import subprocess
import time

import pytest

from servers import eventually
from services.daemons import Process
from services.machine import listening
from services.slurm import Cluster, ServiceError
from services.slurm_fixture import require, slurm_cluster


def submit(cluster: Cluster, wrap: str, *options: str) -> str:
    command = ("sbatch", "--parsable", "--output=/dev/null", f"--wrap={wrap}", *options)
    return cluster.run(*command, user=cluster.user).stdout.strip()


def state(cluster: Cluster, job: str) -> str:
    return cluster.run("squeue", "-h", "-t", "all", "-j", job, "-o", "%T").stdout.strip()


def test_a_job_completes_and_is_accounted_for(cluster):
    job = submit(cluster, "exit 0", "--job-name=counted")

    eventually(lambda: state(cluster, job) == "COMPLETED")
    query = ("sacct", "-X", "-n", "-P", "-j", job, "-o", "jobname,state,exitcode")
    eventually(lambda: cluster.run(*query).stdout.strip() == "counted|COMPLETED|0:0")


def test_a_hook_is_told_of_the_end(cluster, tmp_path):
    told = tmp_path / "told"
    cluster.hook("jobcomp", f'#!/bin/sh\necho "$JOBID $JOBSTATE" >> {told}\n')

    job = submit(cluster, "exit 3")

    eventually(lambda: told.exists() and told.read_text() == f"{job} FAILED\n")


def test_a_controller_that_was_killed_comes_back(cluster):
    cluster.kill("ctld")
    assert not cluster.running("ctld")
    assert cluster.run("scontrol", "ping", check=False).returncode != 0

    cluster.start("ctld")

    # Not until all nodes are idle: a job that ended just before may seem to run for minutes.
    job = submit(cluster, "exit 0")
    eventually(lambda: state(cluster, job) == "COMPLETED", 60)


def test_ssh_leads_to_the_login_and_refuses_another_host_key(cluster):
    def ssh(*command: str) -> subprocess.CompletedProcess[str]:
        argv = ("ssh", "-F", str(cluster.ssh_config), cluster.ssh_host, *command)
        return cluster.run(*argv, check=False)

    assert ssh("id -un; sinfo -h -o %T").stdout.split()[:2] == [cluster.user, "idle"]

    cluster.rotate_host_key()
    refused = ssh("true")
    assert refused.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in refused.stderr
    cluster.trust_host_key()
    assert ssh("true").returncode == 0


def test_a_session_hangs_and_dies_with_its_login_node(cluster):
    argv = ["ssh", "-F", str(cluster.ssh_config), cluster.ssh_host, "echo ready; cat"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as session:
        assert session.stdout.readline() == b"ready\n"
        cluster.pause("sshd")
        session.stdin.write(b"echo\n")
        session.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            session.wait(timeout=1)
        cluster.cont("sshd")
        assert session.stdout.readline() == b"echo\n"

        cluster.kill("sshd")
        assert session.wait(timeout=30) == 255


def test_sbatch_gives_up_on_a_controller_that_hangs_and_the_job_is_there():
    with slurm_cluster(nodes=1, accounting=False, message_timeout=3) as one:
        one.pause("ctld")
        with pytest.raises(ServiceError, match="Socket timed out on send/recv operation"):
            submit(one, "exit 0")
        one.cont("ctld")

        eventually(
            lambda: "1 COMPLETED" in one.run("squeue", "-h", "-t", "all", "-o", "%i %T").stdout
        )


def test_two_clusters_know_nothing_of_each_other_and_leave_nothing_behind():
    with slurm_cluster(nodes=1, accounting=False) as one:
        with slurm_cluster(nodes=1, accounting=False) as two:
            assert not set(one.ports.values()) & set(two.ports.values())
            assert submit(one, "sleep 600") == submit(two, "trap '' TERM; sleep 600") == "1"
            eventually(lambda: state(one, "1") == state(two, "1") == "RUNNING")
            eventually(two.strays)  # RUNNING says that the node was told, not that it has begun
            two.kill("node1")  # its job outlives it
            stray = eventually(two.strays)
            ports, folder = list(two.ports.values()), two.folder

        assert all(process.ended(within=0) for process in stray)
        assert not any(map(listening, ports))
        assert not folder.exists()
        assert state(one, "1") == "RUNNING"


def test_a_pid_that_was_given_to_somebody_else_is_left_alone(tmp_path):
    with subprocess.Popen(["sleep", "60"]) as other:
        process = Process.of(other.pid)
        (tmp_path / "run").mkdir()
        (tmp_path / "run/ctld.pid").write_text(f"{other.pid} {process.born - 1}\n")

        Cluster(tmp_path).down()

        assert not process.ended(within=0.2)
        other.kill()


def test_a_daemon_that_cannot_start_is_quoted():
    began = time.monotonic()
    with (
        pytest.raises(ServiceError, match=r"(?s)ctld has ended: .*select/nosuch"),
        slurm_cluster(nodes=1, accounting=False, extra_conf="SelectType=select/nosuch"),
    ):
        pass
    assert time.monotonic() - began < 30


def test_what_is_missing_skips_but_fails_in_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    require([])
    with pytest.raises(pytest.skip.Exception, match="not on this machine: root, sbatch"):
        require(["root", "sbatch"])
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="root"):
        require(["root"])
