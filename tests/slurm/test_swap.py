"""Every storage with every manager and every format: one suite, and only opus.toml differs."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path

import pytest

import periodogram
from opus_core.testing.journeys.suite import Journeys, Recipe
from servers import LEDGER_SCRIPT, LEDGER_WADL, Site, describe_ledger, eventually, runs
from services.slurm_fixture import slurm_cluster

PATIENCE = 60.0  # [s] for what takes a few on an idle machine

pytestmark = [pytest.mark.takes(200), pytest.mark.timeout(240)]

# All that a site changes, in the words of its configuration file.
STORAGES = {
    "sqlite": 'use = "sqlite"\npath = "base/opus.sqlite"',
    "postgresql": 'use = "postgresql"\nurl = "postgresql://opus@127.0.0.1:{port}/{{site}}"',
}
MANAGERS = {
    "local": 'use = "local"\ngrace = 1',
    "slurm": 'use = "slurm"\ngrace = 1\ntimeout = 15\nvisible_after = 10',
}
JDLS = {"wadl": 'use = "wadl"', "votable": 'use = "votable"'}
MATRIX = list(itertools.product(STORAGES, MANAGERS, JDLS))

# All journeys with two that have every back end between them. Those in which one back end meets
# another with three more, after which each has met each of the others, and in a soak with all.
WHOLE = [("sqlite", "local", "wadl"), ("postgresql", "slurm", "votable")]
CROSSED = [
    ("sqlite", "local", "votable"),
    ("sqlite", "slurm", "wadl"),
    ("postgresql", "local", "wadl"),
]
EVERYWHERE = (
    Journeys.test_an_upload_and_parameters_become_results_byte_for_byte,
    Journeys.test_a_script_that_fails_ends_in_error_with_its_exit_code,
    Journeys.test_a_running_job_that_is_deleted_leaves_nothing,
    Journeys.test_a_job_runs_on_once_while_its_server_is_killed,
    Journeys.test_a_restarted_server_knows_what_it_knew,
)


def pytest_generate_tests(metafunc):
    if "combination" in metafunc.fixturenames:
        everywhere = metafunc.function in EVERYWHERE
        found = [
            pytest.param(
                one,
                id="-".join(one),
                marks=() if one in (*WHOLE, *CROSSED) else pytest.mark.soak,
            )
            for one in (MATRIX if everywhere else WHOLE)
        ]
        metafunc.parametrize("combination", found, scope="class")


@pytest.fixture(scope="session")
def cluster():
    with slurm_cluster(accounting=False) as one:
        yield one


def environment(cluster):
    """The words before a command that give it what a service has on a machine of the cluster."""
    env = cluster.environment()
    return ("env", f"SLURM_CONF={env['SLURM_CONF']}", f"PATH={env['PATH']}")


class TestSwap(Journeys):
    @pytest.fixture
    def recipe(self, combination, request, tmp_path_factory):
        storage, manager, jdl = combination
        root, before, prefix, port = tmp_path_factory.getbasetemp(), "", (), 0
        if manager == "slurm":
            one = request.getfixturevalue("cluster")
            root, prefix = one.folder / "sites", environment(one)
        if storage == "postgresql":
            one = request.getfixturevalue("database")
            port = one.port
            before = f"{one.programs}/createdb -h 127.0.0.1 -p {port} -U opus {{site}}"
        else:
            before = "mkdir {folder}/base"
        tables = {
            "storage": STORAGES[storage].format(port=port),
            "manager": MANAGERS[manager],
            "jdl": JDLS[jdl],
        }
        text = "".join(f"[{name}]\n{content}\n" for name, content in tables.items())
        return Recipe(text=text, root=root, before=before, prefix=prefix)


@pytest.fixture
def place(cluster):
    """A folder that the nodes see, and the environment that a service has there."""
    with tempfile.TemporaryDirectory(prefix="swap-", dir=cluster.folder) as folder:
        one = Site(Path(folder), prefix=environment(cluster))
        (one.folder / "base").mkdir()
        try:
            yield one
        finally:
            one.stop()


def settings(manager: str, jdl: str) -> dict[str, str]:
    return {
        "storage": STORAGES["sqlite"],
        "manager": MANAGERS[manager],
        "jdl": JDLS[jdl],
        "supervisor": "lease_seconds = 3\ngrace = 2\npoll_interval = 1",
    }


def publish_periodogram(site: Site) -> None:
    wadl, script = periodogram.FOLDER / "definition.wadl", periodogram.FOLDER / "script"
    site.opus("jdl", "import", str(wadl), "--script", str(script), "--publish")


def waits(site: Site, job: str) -> str:
    """Its last phase, by the server's own WAIT."""
    for _ in range(20):
        answer = site.get(f"{job}?WAIT=20", headers={"Accept": "application/json"})
        phase = json.loads(answer.text)["phase"]
        if phase not in {"QUEUED", "EXECUTING"}:
            return phase
    raise AssertionError(f"never over: {answer.text}")


def test_a_site_changes_its_manager_and_its_format_and_keeps_what_it_has(place, tmp_path):
    place.configure(**settings("local", "wadl"))
    publish_periodogram(place)
    describe_ledger(place)
    place.serve()
    done = place.create("periodogram")
    assert waits(place, done) == "COMPLETED"
    ledger = tmp_path / "ledger"
    pending = place.create("ledger", {"ledger": str(ledger)}, run=False)
    document = place.get(done).text
    exported = place.opus("jdl", "export", "ledger").stdout
    running = place.create("ledger", {"ledger": str(ledger), "seconds": "10"})
    place.wait(running, {"EXECUTING"}, PATIENCE)
    place.stop()

    place.configure(**settings("slurm", "votable"))
    place.serve()
    assert place.get(done).text == document
    assert place.opus("jdl", "export", "ledger").stdout == exported
    place.describe("later", LEDGER_SCRIPT, LEDGER_WADL)
    assert "<VOTABLE" in place.opus("jdl", "export", "later").stdout
    assert place.post(f"{pending}/phase", {"PHASE": "RUN"}).status == 303
    assert waits(place, pending) == "COMPLETED"
    fresh = place.create("periodogram")
    assert waits(place, fresh) == "COMPLETED"
    assert place.phase(running) == "EXECUTING"  # whatever became of it: nobody here can know
    waiting = "jobs of the local manager wait; configure it until they are over"
    eventually(lambda: waiting in place.get("/availability").text, PATIENCE, 0.2)
    same = [place.get(f"{one}/results/strongest").body for one in (done, fresh)]
    assert same[0] == same[1]
    place.stop()

    place.configure(**settings("local", "votable"))
    place.serve()
    assert waits(place, running) == "COMPLETED"
    assert runs(ledger) == 2
