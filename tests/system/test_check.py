"""`opus check` finds out whether jobs can run, by running one."""

from __future__ import annotations

import json
import os

import pytest

from servers import site


@pytest.fixture
def one(tmp_path):
    with site(tmp_path / "site") as opened:
        yield opened


def probed(one):
    """Exit code and findings of `opus check --probe`, those of the probe alone."""
    done = one.opus("check", "--probe", "--json", check=False)
    found = [finding for finding in json.loads(done.stdout) if finding["subject"] == "probe"]
    return done.returncode, [(finding["state"], finding["sentence"]) for finding in found]


def test_a_probe_goes_the_way_of_all_jobs_and_leaves_nothing(one):
    code, found = probed(one)
    assert code == 0
    assert [state for state, _ in found] == ["ok"] * 3
    assert "submitted as 1" in found[0][1]
    assert f"ran on {os.uname().nodename}" in found[2][1]
    assert list((one.folder / "data" / "jobs").glob("*/*")) == []
    assert [path for path in (one.folder / "data" / "local").glob("tags/*")] == []
    one.serve()
    assert one.get("/healthz").status == 200


def test_a_probe_says_at_which_step_it_stops(one):
    commands = ", ".join(
        f'{name} = "/bin/false"' for name in ("sbatch", "squeue", "scancel", "scontrol")
    )
    one.configure(manager=f'use = "slurm"\ncommands = {{ {commands} }}')
    code, found = probed(one)
    assert code == 1
    assert found == [("error", "sbatch ended with 1: it said nothing")]


def test_a_web_server_that_does_not_supervise_needs_no_way_to_the_cluster(one):
    one.configure(
        manager='use = "slurm"\ncommands = { sbatch = "/nowhere/sbatch" }',
        supervisor="embedded = false",
    )
    one.serve()
    assert one.get("/healthz").status == 200
    alone = one.opus("supervise", check=False)
    assert alone.returncode != 0
    assert "there is no /nowhere/sbatch on this machine" in alone.stderr
