"""The SLURM manager keeps the contract of managers, on a real cluster, by both ways to it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest

from opus_core.backends import Kind
from opus_core.testing import ManagerContract
from opus_core.testing.manager_kit import COUNTS, Desk, known, ran, until
from opus_manager_slurm.manager import SlurmManager
from opus_manager_slurm.options import SlurmOptions

CLEARS_UP = True  # the kit ends what it has started

# As sites wrap it: it talks, and submits held what asks for a constraint that there is not.
SBATCH = """#!/bin/bash
echo 'Welcome to the cluster of 3 dwarfs'
script=$(cat)
[[ $script == *--constraint=held* ]] && set -- --hold "$@"
grep -v -e --constraint=held <<<"$script" | sbatch "$@" && echo && exit
exit 1
"""
RUN_OPTIONS = {"slurm_constraint": "held | none", "slurm_partition": "main | nosuch = main"}


class SlurmContract(ManagerContract):
    """What holds for both."""

    forgets = False  # the queue goes on knowing what has ended

    @pytest.fixture
    def make(self, cluster, tmp_path, monkeypatch):
        monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
        # Read by another user on the login node.
        sbatch = cluster.folder / "sbatch"
        sbatch.write_text(SBATCH)
        sbatch.chmod(0o755)
        made = []

        def make():
            options = SlurmOptions(
                commands={"sbatch": str(sbatch)},
                run_options=RUN_OPTIONS,
                grace=1,
                visible_after=5,
                **self.way(cluster),
            )
            made.append(SlurmManager(options))
            return made[-1]

        yield make
        for manager in made:
            manager.close()

    def way(self, cluster):
        """The options that lead to the cluster."""
        return {}

    @pytest.fixture
    def unfit(self):
        return lambda: SlurmManager(SlurmOptions(commands={"sbatch": "/nowhere/sbatch"}))

    @pytest.fixture
    def rejected(self):
        return lambda task: replace(task, options={"slurm_partition": "nosuch"})

    @pytest.fixture
    def held(self):
        return lambda task: replace(task, options={"slurm_constraint": "held"})

    @pytest.fixture
    def unavailable(self, cluster):
        """munge is away, so no command of SLURM gets an answer."""

        @contextmanager
        def away():
            cluster.stop("munge")
            try:
                yield
            finally:
                cluster.start("munge")

        return away


class TestLocalTransport(SlurmContract):
    asks = ("start", "find", "get_status", "abort")

    @pytest.fixture
    def unreachable(self, job_root):
        """The folders of jobs lie behind a link that leads round and round."""

        @contextmanager
        def lost():
            elsewhere = job_root.with_name("elsewhere")
            job_root.rename(elsewhere)
            job_root.symlink_to(job_root.name)
            try:
                yield
            finally:
                job_root.unlink()
                elsewhere.rename(job_root)

        return lost


class ThereDesk(Desk):
    """The login node is this machine: what a test looks at in a job's working directory is a link
    to where it is there. Links are not sent."""

    def __init__(self, root, there):
        super().__init__(root)
        self.there = there

    def task(self, script, options=None):
        task = super().task(script, options)
        for name in ("runs", "stop", "child", "grandchild", "daemon"):
            (task.folder / "work" / name).symlink_to(self.there / task.ref.tag / "work" / name)
        return task


class TestSshTransport(SlurmContract):
    asks = ("start", "find", "get_status", "abort")

    def way(self, cluster):
        return {"host": cluster.ssh_host, "ssh_config": cluster.ssh_config}

    @pytest.fixture
    def unreachable(self, cluster):
        """The login node is away."""

        @contextmanager
        def away():
            cluster.kill("sshd")
            try:
                yield
            finally:
                cluster.start("sshd")

        return away

    @pytest.fixture
    def desk(self, instances, job_root, cluster):
        desk = ThereDesk(job_root, cluster.home / "opus-jobs")
        yield desk
        if desk.tasks:
            desk.clear(instances.open())

    def test_a_submission_that_finds_the_claim_taken_leaves(self, manager, desk):
        task = desk.task(COUNTS)
        assert manager.seal(task).sealed  # so that there is a folder
        claim = desk.there / task.ref.tag / "claim"
        claim.unlink()
        claim.symlink_to("somebody-else")
        (claim.parent / "run").write_text((task.folder / "run").read_text())
        started = known(task, manager.start(task))
        until(manager, started.ref, Kind.ENDED, Kind.GONE)
        assert ran(task) == 0
        assert claim.readlink().name == "somebody-else"
