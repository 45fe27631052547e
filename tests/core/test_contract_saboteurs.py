"""The contracts can fail: each promise has a back end that breaks it, and the kit says which."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.saboteurs.registry import held, saboteurs
from opus_core.testing import (
    AccountsContract,
    AuthenticateContract,
    JdlContract,
    ManagerContract,
    ObserverContract,
    StorageContract,
)

CONTRACTS = {
    StorageContract: [
        "storages",
        "saved",
        "values",
        "copies",
        "pokes",
        "limits",
        "lists",
        "searches",
        "journals",
        "waitings",
        "queues",
        "leases",
        "records",
        "faults",
    ],
    AccountsContract: ["accounts", "access"],
    JdlContract: ["jdls", "jdls_xml"],
    AuthenticateContract: ["authenticators"],
    ObserverContract: ["observers"],
    ManagerContract: [
        "managers",
        "managers_start",
        "managers_status",
        "managers_stop",
        "managers_reach",
        "managers_answers",
        "managers_offer",
    ],
}
MODULES = [module for modules in CONTRACTS.values() for module in modules]
# What runs in one process; managers wait most of the time.
BATCHES = [
    ["storages", "saved", "values", "copies", "pokes", "limits", "lists", "searches", "journals"],
    ["waitings", "queues", "leases", "records", "faults", "accounts", "access", "jdls", "jdls_xml"],
    ["authenticators", "observers"],
    ["managers", "managers_start"],
    ["managers_status", "managers_reach"],
    ["managers_stop", "managers_answers", "managers_offer"],
]
PATIENCE = "3"  # [s]; most saboteurs are caught at once, and those that never answer need waiting
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """What failed tests said, by saboteur; found out once, for all processes of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    report = root / "saboteurs.json"
    with (root / "saboteurs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not report.exists():
            report.write_text(json.dumps(held_against(tmp_path_factory)))
    return json.loads(report.read_text())


def held_against(tmp_path_factory):
    """Hold the contracts against all saboteurs, each batch in a process of its own."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
        "OPUS_TESTING_PATIENCE": PATIENCE,
    }
    running = {}
    for batch in BATCHES:
        folder = tmp_path_factory.mktemp(batch[0])
        modules = [f"core.saboteurs.{module}" for module in batch]
        command = [sys.executable, "-m", "core.saboteurs.run", folder, *modules]
        with (folder / "output").open("wb") as output:
            running[folder] = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, cwd=folder
            )
    verdicts = {}
    try:
        for folder, process in running.items():
            process.wait(240)
            report = folder / "failed.json"
            assert report.exists(), (folder / "output").read_text()
            verdicts |= json.loads(report.read_text())
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    return verdicts


EVERY = [
    pytest.param(module, one, id=f"{module}-{one}")
    for module in MODULES
    for one in held(f"core.saboteurs.{module}")
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("module", "saboteur"), EVERY)
def test_the_named_tests_catch_a_saboteur_and_no_others(module, saboteur, failed):
    caught_by = set(failed[f"{module}.{saboteur}"])
    missed, further = saboteur.caught_by - caught_by, caught_by - saboteur.caught_by
    assert not missed, "not caught by"
    assert not further or saboteur.more, "caught by others as well"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("module", "saboteur"), [one for one in EVERY if one.values[1].says])
def test_a_failure_says_what_was_promised(module, saboteur, failed):
    for test in saboteur.caught_by:
        assert re.search(saboteur.says, failed[f"{module}.{saboteur}"][test]), test


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_promise_has_a_saboteur(contract):
    promises = {name for name in dir(contract) if name.startswith("test_")}
    broken = {
        test
        for module in CONTRACTS[contract]
        for saboteur in saboteurs(f"core.saboteurs.{module}")
        for test in saboteur.caught_by
    }
    assert promises - broken == set(), "nothing shows that these can fail"


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_group_of_promises_has_a_failure_that_speaks(contract):
    heard = {
        test
        for module in CONTRACTS[contract]
        for saboteur in saboteurs(f"core.saboteurs.{module}")
        for test in saboteur.caught_by
        if saboteur.says
    }
    groups = [
        one for one in contract.__mro__ if any(name.startswith("test_") for name in vars(one))
    ]
    silent = [one.__name__ for one in groups if heard.isdisjoint(vars(one))]
    assert not silent, "nobody has listened to what these say"
