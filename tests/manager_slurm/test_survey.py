"""What `opus check` finds of a real cluster, and of one that is not set up as `[manager]` says."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from opus_manager_slurm import survey
from opus_manager_slurm.commands import Commands
from opus_manager_slurm.local import LocalTransport
from opus_manager_slurm.manager import SlurmManager
from opus_manager_slurm.options import SlurmOptions

CLEARS_UP = True  # nothing is submitted

SET_UP = SlurmOptions(grace=1)  # the cluster of these tests kills after two seconds


@pytest.fixture
def asked(cluster, monkeypatch):
    """Sentences by code, with these options."""
    for name, value in cluster.environment().items():
        monkeypatch.setenv(name, value)

    def ask(options=SET_UP, now=time.time):
        commands = Commands(options, LocalTransport(options))
        return {one.code: one.sentence for one in survey.findings(commands, options, now)}

    return ask


def test_nothing_is_found_of_a_cluster_that_is_set_up_so(asked):
    assert asked() == {}


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"partition": "nosuch"}, "slurm-refuses", "there is no such partition"),
        (
            {"sbatch_options": ("--constraint=nosuch",)},
            "slurm-refuses",
            "no node of the cluster has such a feature",
        ),
        ({"grace": 10}, "slurm-kill-wait", "grace is 10 s, and SLURM kills after 2 s"),
        ({"visible_after": 15}, "slurm-visible-after", "set it to 30"),
    ],
)
def test_what_the_cluster_does_not_bear(asked, changes, code, words):
    found = asked(replace(SET_UP, **changes))

    assert found.keys() == {code}
    assert words in found[code]


def test_a_partition_that_is_down_for_now(asked, cluster):
    cluster.run("scontrol", "update", "partitionname=main", "state=inactive")
    try:
        found = asked()
    finally:
        cluster.run("scontrol", "update", "partitionname=main", "state=up")
    assert found.keys() == {"slurm-not-now"}
    assert "its partition takes no jobs for the time being" in found["slurm-not-now"]


def test_the_clock_of_the_controller(asked):
    for later, word in ((60, "behind"), (-60, "ahead")):
        found = asked(now=lambda later=later: time.time() + later)
        assert found.keys() == {"slurm-clock"}
        assert f" s {word} of this machine's: set both by NTP" in found["slurm-clock"]


def test_a_controller_that_is_away(asked, cluster):
    cluster.kill("ctld")
    try:
        found = asked()
    finally:
        cluster.start("ctld")
    assert found.keys() == {"slurm-silent"}
    assert "the controller of SLURM does not answer" in found["slurm-silent"]


def test_a_cluster_without_accounting(asked):
    settings = {"AccountingStorageType": "accounting_storage/none", "MinJobAge": "60 sec"}

    found = survey._settings(settings, replace(SET_UP, accounting=True))

    assert [one.code for one in found] == ["slurm-no-accounting", "slurm-forgets"]
    settings = {"AccountingStorageType": "(null)", "MinJobAge": "300 sec"}
    assert list(survey._settings(settings, SET_UP)) == []


def test_over_ssh_too(cluster):
    options = replace(SET_UP, host=cluster.ssh_host, ssh_config=cluster.ssh_config)
    manager = SlurmManager(replace(options, partition="nosuch"))

    assert [one.code for one in manager.findings()] == ["slurm-refuses"]

    manager.close()


def test_every_code_is_told_of_in_the_list_and_made_to_be_found_here():
    text = Path(__file__).read_text()
    assert SlurmManager.codes == survey.CODES
    assert [code.name for code in survey.CODES if f'"{code.name}"' not in text] == []
