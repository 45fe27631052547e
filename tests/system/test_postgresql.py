"""Two servers, each with a supervisor, on one PostgreSQL that is killed under load."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from servers import Answer, Site, describe_ledger, eventually, runs, site
from services.postgresql import private_server


@pytest.fixture
def database():
    with private_server() as one:
        yield one


@pytest.fixture
def hosts(tmp_path, database):
    """Two of them, with one data folder and one database; no supervisor is the first's for ever."""
    with ExitStack() as opened:
        found = []
        for number in range(2):
            one = opened.enter_context(site(tmp_path / f"host {number}"))
            one.configure(storage=f'use = "postgresql"\nurl = "{database.url()}"')
            text = one.config.read_text()
            one.config.write_text(text.replace('"data"', f'"{tmp_path / "data"}"'))
            found.append(one)
        describe_ledger(found[0])
        for one in found:
            one.serve()
        yield found


class Clients:
    """They make jobs, one after the other, and keep what they were told."""

    def __init__(self, hosts: list[Site], ledger: Path) -> None:
        self.made: list[str] = []
        self.answers: list[Answer] = []
        self._ledger = ledger
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(one,)) for one in hosts * 2]

    def _run(self, host: Site) -> None:
        fields = {"ledger": str(self._ledger), "PHASE": "RUN"}
        while not self._over.is_set():
            answer = host.post("/rest/ledger", fields)
            self.answers.append(answer)
            if answer.status == 303:
                self.made.append(answer.location.rpartition("/")[2])
            else:
                time.sleep(0.1)  # they were told when to come back

    def __enter__(self):
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        for one in self._threads:
            one.join()

    def grow(self) -> None:
        """Some more are made by each."""
        count = len(self.made)
        eventually(lambda: len(self.made) > count + 6, 60)


@pytest.mark.timeout(300)
def test_what_was_promised_is_kept_whatever_happens_to_the_database(hosts, database, tmp_path):
    ledger = tmp_path / "ledger"
    with Clients(hosts, ledger) as clients:
        for how in (signal.SIGINT, signal.SIGQUIT):
            clients.grow()
            database.stop(how)
            eventually(lambda: any(one.status == 503 for one in clients.answers[-4:]))
            database.start()
        clients.grow()
        # Who waits for a job on one host is told of what the other one does.
    statuses = Counter(one.status for one in clients.answers)
    assert set(statuses) == {303, 503}, statuses
    refused = [one for one in clients.answers if one.status == 503]
    assert all(int(one.headers["Retry-After"]) >= 1 for one in refused)
    assert not any("Traceback" in one.text or "psycopg" in one.text for one in refused)

    def over() -> bool:
        phases = [hosts[0].get(f"/rest/ledger/{one}/phase").text for one in clients.made]
        return set(phases) == {"COMPLETED"}

    eventually(over, 120, 0.5)
    # Each was run once, and no other one was.
    assert runs(ledger) >= len(clients.made)
    listed = hosts[1].document("/rest/ledger")["jobs"]
    assert runs(ledger) == len(listed)
    assert {one["jobId"] for one in listed} >= set(clients.made)


def test_who_waits_on_one_host_hears_of_the_other(hosts, tmp_path):
    job = hosts[0].create("ledger", {"ledger": str(tmp_path / "ledger")}, run=False)
    told: list[str] = []
    thread = threading.Thread(
        target=lambda: told.append(hosts[1].get(f"{job}?WAIT=20&PHASE=PENDING").text)
    )
    thread.start()
    time.sleep(1.0)  # it is waiting by now; and were it not, it would be told all the same
    begun = time.monotonic()
    hosts[0].post(f"{job}/phase", {"PHASE": "RUN"})
    thread.join()
    assert time.monotonic() - begun < 10
    assert "PENDING" not in told[0]


def test_a_site_moves_there_with_all_that_it_has(tmp_path, database):
    with site(tmp_path / "site") as one:
        describe_ledger(one)
        one.opus("user", "add", "ann")
        token = one.opus("token", "add", "ann").stdout.strip()
        one.serve()
        ledger = {"ledger": str(tmp_path / "ledger"), "text": "<é>&\u202e"}
        jobs = [one.create("ledger", {**ledger, "RUNID": f"run {n}"}, run=n % 2) for n in range(12)]
        for job in jobs[1::2]:
            assert one.wait(job) == "COMPLETED"
        moved = one.folder / "moved.toml"
        storage = f'[storage]\nuse = "postgresql"\nurl = "{database.url()}"\n'
        moved.write_text(f"{one.config.read_text()}\n{storage}")
        running = one.opus("db", "copy", str(one.config), str(moved), check=False)
        assert (running.returncode, running.stderr.count("\n")) == (2, 1)
        assert "a supervisor is acting" in running.stderr
        documents = [one.get(job).text for job in jobs]
        assert all(f"run {n}" in text for n, text in enumerate(documents))
        results = [one.get(f"{job}/results/output").body for job in jobs[1::2]]
        one.stop()

        said = one.opus("db", "copy", str(one.config), str(moved)).stdout
        assert said.startswith("copied: 12 jobs, ")
        assert "every job is the same there: 12 jobs, sha256 " in said
        again = one.opus("db", "copy", str(one.config), str(moved), check=False)
        assert again.returncode == 2
        assert "something in it already" in again.stderr

        one.config.write_text(moved.read_text())
        one.serve()
        assert [one.get(job).text for job in jobs] == documents
        assert [one.get(f"{job}/results/output").body for job in jobs[1::2]] == results
        known = one.get("/rest/ledger", headers={"Authorization": f"Bearer {token}"})
        assert known.status == 200
        one.post(f"{jobs[0]}/phase", {"PHASE": "RUN"})
        assert one.wait(jobs[0]) == "COMPLETED"
        assert runs(tmp_path / "ledger") == 7
