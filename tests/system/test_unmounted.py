"""The folders of jobs lie on a file system that is not mounted: an empty folder in its place says
nothing about any job. The file system is played by a folder that is moved away."""

from __future__ import annotations

import json

from servers import describe_ledger, eventually, kill, runs, site

JOBS = 'folder = "mounted"'
# Of a job that waits for a place, so that it is begun, or not, while nothing is mounted.
ONE_AT_ONCE = 'use = "local"\nmax_jobs = 1'


def available(one):
    return json.loads(one.get("/availability", headers={"Accept": "application/json"}).body)


def test_nothing_is_concluded_from_a_folder_that_is_not_mounted(tmp_path):
    with site(tmp_path / "site") as one:
        one.configure(jobs=JOBS, manager=ONE_AT_ONCE)
        describe_ledger(one)
        server = one.serve()
        ledgers = [tmp_path / f"ledger{number}" for number in range(3)]
        fields = [{"ledger": str(ledger)} for ledger in ledgers]
        early = one.create("ledger", fields[0])
        assert one.wait(early) == "COMPLETED"
        running = one.create("ledger", fields[1] | {"seconds": "2"})
        one.wait(running, {"EXECUTING"})
        queued = one.create("ledger", fields[2])
        one.wait(queued, {"QUEUED"})
        kill(server)
        mounted, away = one.folder / "mounted", one.folder / "away"
        exit_file = mounted / running[-32:-30] / running[-32:] / "exit"
        eventually(exit_file.exists)
        mounted.rename(away)
        mounted.mkdir()

        one.serve()
        said = eventually(lambda: not (now := available(one))["available"] and now)
        assert "is their file system mounted?" in said["notes"][0], said
        lost = one.get(f"{early}/results/output")
        assert lost.status == 503, "it is not said that there is no such result"
        assert "is their file system mounted?" in lost.text
        new = one.create("ledger", {"ledger": str(tmp_path / "new")})
        assert one.get(f"{running}?WAIT=3&PHASE=EXECUTING").status == 200
        for job in (early, running):
            assert one.get(job, headers={"Accept": "text/html"}).status == 200
        assert one.phase(running) == "EXECUTING"
        assert one.phase(queued) in ("QUEUED", "EXECUTING")
        assert one.phase(new) == "QUEUED"
        assert list(mounted.iterdir()) == [], "nothing was written there"

        mounted.rmdir()
        away.rename(mounted)
        for job in (running, queued, new):
            assert one.wait(job) == "COMPLETED"
            assert one.get(f"{job}/results/output").text == "hello"
        assert [runs(ledger) for ledger in ledgers] == [1, 1, 1]
        eventually(lambda: available(one)["available"])
