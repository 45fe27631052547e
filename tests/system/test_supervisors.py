"""Two supervisors, of which one acts; and one that was paused beyond its lease and wakes up."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import time
from contextlib import closing

from servers import describe_ledger, eventually, runs, site


def acting(one):
    """The pid of the supervisor whose word the server last had."""
    answer = one.get("/healthz").text
    return next((p.pid for p in one.processes if f"/{p.pid}/" in answer), None)


def pause(process, one):
    """Stop it, but not in the middle of a transaction: who sleeps with SQLite's lock stops every
    writer. True if that has succeeded."""
    process.send_signal(signal.SIGSTOP)
    database = sqlite3.connect(one.folder / "data/opus.sqlite", timeout=1, isolation_level=None)
    with closing(database):
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            return False
        database.execute("ROLLBACK")
    return True


def test_a_second_supervisor_takes_over_and_the_woken_first_does_no_harm(tmp_path):
    with site(tmp_path / "two") as one:
        describe_ledger(one)
        one.configure(supervisor="lease_seconds = 3\ngrace = 2\nembedded = false")
        one.serve()
        first = one.start("supervise")
        eventually(lambda: acting(one) == first.pid)
        second = one.start("supervise")
        ledgers = [tmp_path / f"l{number}" for number in range(8)]
        jobs = [one.create("ledger", {"ledger": str(ledger), "seconds": "2"}) for ledger in ledgers]
        eventually(lambda: sum(runs(ledger) for ledger in ledgers) == 4)
        eventually(lambda: sum(one.phase(job) == "EXECUTING" for job in jobs) == 4)
        eventually(lambda: pause(first, one))
        eventually(lambda: acting(one) == second.pid, 15)
        more = one.create("ledger", {"ledger": str(tmp_path / "more")})
        assert one.wait(more) == "COMPLETED"
        first.send_signal(signal.SIGCONT)
        for job in jobs:
            assert one.wait(job) == "COMPLETED"
        assert [runs(ledger) for ledger in ledgers] == [1] * len(ledgers)
        assert acting(one) == second.pid


def test_a_supervisor_that_was_killed_is_replaced_at_once_on_the_same_host(tmp_path):
    with site(tmp_path / "one") as one:
        describe_ledger(one)
        one.configure(supervisor="lease_seconds = 60\nembedded = false")
        one.serve()
        first = one.start("supervise")
        eventually(lambda: acting(one) == first.pid)
        first.kill()
        first.wait()
        begin = time.monotonic()
        one.start("supervise")
        job = one.create("ledger", {"ledger": str(tmp_path / "l")})
        assert one.wait(job) == "COMPLETED"
        assert time.monotonic() - begin < 15  # and not the lease's sixty seconds


def test_a_copied_folder_is_refused_until_somebody_says_what_it_is(tmp_path):
    with site(tmp_path / "original") as one:
        describe_ledger(one)
        server = one.serve()
        job = one.create("ledger", {"ledger": str(tmp_path / "l"), "seconds": "600"})
        one.wait(job, {"EXECUTING"})
        server.terminate()
        server.wait()
        (tmp_path / "original" / "data").rename(tmp_path / "original" / "away")
        shutil.copytree(
            tmp_path / "original" / "away", tmp_path / "original" / "data", symlinks=True
        )
        refused = one.start("supervise")
        assert refused.wait(timeout=20) == 2
        assert "--adopt" in (one.folder / "stderr.log").read_text()
        one.opus("init", str(one.folder), "--new-instance")
        one.serve()
        assert one.wait(job) == "ERROR"
        assert "copied" in one.get(f"{job}/error").text
        # The original's script is still running: none was cancelled.
        one.stop()
        shutil.rmtree(tmp_path / "original" / "data")
        (tmp_path / "original" / "away").rename(tmp_path / "original" / "data")
        one.serve()
        assert one.phase(job) == "EXECUTING"
        one.request("DELETE", job)
        eventually(lambda: not one.job_folder(job.rpartition("/")[2]).exists(), 30)
