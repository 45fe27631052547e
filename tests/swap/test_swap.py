"""Every storage with every manager and every format: one journey, and only opus.toml differs."""

from __future__ import annotations

import itertools
import json
import re
import tempfile
from pathlib import Path

import pytest

import periodogram
from periodogram import TABLE, computed
from servers import LEDGER_SCRIPT, LEDGER_WADL, Site, describe_ledger, eventually, kill, runs
from services.postgresql import server
from services.slurm_fixture import slurm_cluster

PATIENCE = 60.0  # [s] for what takes a few on an idle machine

# All that a site changes, in the words of its configuration file.
STORAGES = {
    "sqlite": 'use = "sqlite"\npath = "base/opus.sqlite"',
    "postgresql": 'use = "postgresql"\nurl = "{database}"',
}
MANAGERS = {
    "local": 'use = "local"\ngrace = 1',
    "slurm": 'use = "slurm"\ngrace = 1\ntimeout = 15\nvisible_after = 10',
}
JDLS = {"wadl": 'use = "wadl"', "votable": 'use = "votable"'}
MATRIX = list(itertools.product(STORAGES, MANAGERS, JDLS))


@pytest.fixture(scope="session")
def cluster():
    with slurm_cluster(accounting=False) as one:
        yield one


@pytest.fixture(scope="session")
def database():
    """A function that makes an empty database and answers its URL."""
    with tempfile.TemporaryDirectory(prefix="opus-postgresql-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        numbers = itertools.count()
        with server(Path(folder) / "server") as one:

            def create() -> str:
                name = f"site{next(numbers)}"
                where = ("-h", "127.0.0.1", "-p", str(one.port), "-U", "opus")
                one.run("createdb", *where, name)
                return one.url(name)

            yield create


@pytest.fixture
def place(cluster):
    """A folder that the nodes see, and the environment that a service has there."""

    env = cluster.environment()
    words = ("env", f"SLURM_CONF={env['SLURM_CONF']}", f"PATH={env['PATH']}")
    with tempfile.TemporaryDirectory(prefix="swap-", dir=cluster.folder) as folder:
        one = Site(Path(folder), prefix=words)
        (one.folder / "base").mkdir()
        try:
            yield one
        finally:
            one.stop()


def settings(storage: str, manager: str, jdl: str, url: str = "") -> dict[str, str]:
    return {
        "storage": STORAGES[storage].format(database=url),
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


def told(site: Site, job: str) -> dict[str, object]:
    """What its document says that is no matter of when and where."""
    document = site.document(job)
    return {
        "phase": document["phase"],
        "owner": document["ownerId"],
        "run": document["runId"],
        "duration": document["executionDuration"],
        "parameters": {
            one["id"]: one["value"] for one in document["parameters"] if one["id"] != "table"
        },
        "results": [(one["id"], one["mime-type"], one["size"]) for one in document["results"]],
        "error": document["errorSummary"],
    }


def write_table(folder: Path) -> Path:
    target = folder / "table.csv"
    target.write_bytes(TABLE)
    return target


def id_of(job: str) -> str:
    return job.rpartition("/")[2]


@pytest.mark.parametrize(
    ("storage", "manager", "jdl"), MATRIX, ids=["-".join(one) for one in MATRIX]
)
def test_one_journey(place, database, tmp_path, storage, manager, jdl):
    url = database() if storage == "postgresql" else ""
    place.configure(**settings(storage, manager, jdl, url))
    publish_periodogram(place)
    describe_ledger(place)

    # What the site shows is in its own format, and is what was published.
    kept = place.folder / "kept"
    place.opus("jdl", "export", "periodogram", "-o", str(kept))
    beside = [word for one in place.folder.glob("kept.script") for word in ("--script", str(one))]
    again = place.opus("jdl", "import", str(kept), *beside, "--name", "periodogram", "--publish")
    assert again.stdout == "periodogram is published as version 1\n"

    place.serve()
    expected = computed(tmp_path / "alone", table=str(write_table(tmp_path)), longest="60")
    made = place.create("periodogram", {"RUNID": "a night"}, run=False)
    place.request("PUT", f"{made}/parameters/table", body=TABLE)
    assert place.post(f"{made}/parameters", {"longest": "60"}).status == 303
    assert place.post(f"{made}/executionduration", {"EXECUTIONDURATION": "300"}).status == 303
    assert place.phase(made) == "PENDING"
    assert place.post(f"{made}/phase", {"PHASE": "RUN"}).status == 303
    assert waits(place, made) == "COMPLETED", place.get(f"{made}/stderr").text
    results = {name: place.get(f"{made}/results/{name}").body for name in expected}
    assert results == expected
    assert told(place, made) == {
        "phase": "COMPLETED",
        "owner": None,
        "run": "a night",
        "duration": 300,
        "parameters": {"shortest": "2", "longest": "60", "oversampling": "10"},
        "results": [
            ("plot", "image/svg+xml", len(expected["plot"])),
            ("strongest", "application/json", len(expected["strongest"])),
            ("spectrum_csv", "text/csv", len(expected["spectrum_csv"])),
            (
                "spectrum_votable",
                "application/x-votable+xml",
                len(expected["spectrum_votable"]),
            ),
        ],
        "error": None,
    }

    # One that fails, one that is aborted, one that is refused.
    ledger = tmp_path / "ledger"
    failed = place.create("ledger", {"ledger": str(ledger), "code": "3"})
    assert waits(place, failed) == "ERROR"
    assert "exit code 3" in place.document(failed)["errorSummary"]["message"]
    assert place.get(f"{failed}/stdout").text == "running for 0 s\n"
    long = place.create("ledger", {"ledger": str(ledger), "seconds": "300"})
    place.wait(long, {"EXECUTING"}, PATIENCE)
    assert place.post(f"{long}/phase", {"PHASE": "ABORT"}).status == 303
    assert waits(place, long) == "ABORTED"
    refused = place.post("/rest/periodogram", {"longest": "a while"})
    assert refused.status == 400
    assert "longest" in refused.text

    # The server is killed while a job runs: it runs on, once.
    before = runs(ledger)
    survivor = place.create("ledger", {"ledger": str(ledger), "seconds": "3", "text": "kept"})
    eventually(lambda: runs(ledger) == before + 1, PATIENCE)
    kill(place.processes[-1])
    place.serve()
    assert waits(place, survivor) == "COMPLETED"
    assert place.get(f"{survivor}/results/output").text == "kept"
    assert runs(ledger) == before + 1

    # The lists, and the way out.
    listed = place.get("/rest/ledger?PHASE=ERROR&PHASE=ABORTED").text
    assert set(re.findall(r'jobref id="([^"]+)"', listed)) == {id_of(failed), id_of(long)}
    newest = place.get("/rest/ledger?LAST=1").text
    assert re.findall(r'jobref id="([^"]+)"', newest) == [id_of(survivor)]
    folder = place.job_folder(id_of(made))
    assert folder.exists()
    assert place.request("DELETE", made).status == 303
    assert place.get(made).status == 404
    eventually(lambda: not folder.exists(), PATIENCE)


def test_a_site_changes_its_manager_and_its_format_and_keeps_what_it_has(place, tmp_path):
    place.configure(**settings("sqlite", "local", "wadl"))
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
    eventually(lambda: runs(ledger))
    place.stop()

    place.configure(**settings("sqlite", "slurm", "votable"))
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

    place.configure(**settings("sqlite", "local", "votable"))
    place.serve()
    assert waits(place, running) == "COMPLETED"
    assert runs(ledger) == 2
