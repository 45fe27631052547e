"""Two web processes and a supervisor on one SQLite file, all of them busy."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from opus_storage_sqlite.storage import SQLiteOptions, SQLiteStorage
from servers import LEDGER_WADL, Site, eventually, site

SECONDS = 20.0
FIELDS = ("ledger", "text", "seconds")  # each changed by one client alone, all on one job


class Crowd:
    """Clients of both webs, and what they were told."""

    def __init__(self, *webs: Site) -> None:
        self.webs = webs
        self.statuses: Counter[int] = Counter()
        self.refusals: list[str] = []
        self.failures: list[BaseException] = []
        self.made: dict[str, str] = {}  # by id: the RUNID it was made with
        self.deleted: set[str] = set()
        self._lock = threading.Lock()
        self._end = time.monotonic() + SECONDS

    def ask(self, method, path, fields=None):
        answer = random.choice(self.webs).request(method, path, fields)
        with self._lock:
            self.statuses[answer.status] += 1
            if answer.status >= 400:
                self.refusals.append(f"{method} {path} {fields}: {answer.status} {answer.text}")
        return answer

    def run(self, *clients):
        """All at once until the time is up; what one of them raises is raised here."""
        threads = [threading.Thread(target=self._go_on, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.failures, self.failures

    def _go_on(self, client):
        turn = 0
        try:
            while time.monotonic() < self._end and not self.failures:
                client(turn)
                turn += 1
        except BaseException as failure:
            self.failures.append(failure)

    def make(self, name, turn):
        """A job, of which some are run, some are aborted and some are deleted."""
        run_id = f"{name} {turn}"
        fields = {"ledger": "-", "RUNID": run_id, **({"PHASE": "RUN"} if turn % 8 == 0 else {})}
        job = self.ask("POST", "/rest/quick", fields).location.partition("/rest/")[2]
        self.made[job.partition("/")[2]] = run_id
        if turn % 8 == 1:
            self.ask("POST", f"/rest/{job}/phase", {"PHASE": "ABORT"})
        if turn % 8 == 2:
            self.ask("DELETE", f"/rest/{job}")
            self.deleted.add(job.partition("/")[2])
        self.ask("GET", "/rest/quick?LAST=20")


@contextmanager
def two_webs(folder):
    with site(folder) as first:
        first.describe("quick", 'printf %s "$text" > "$output"', LEDGER_WADL)
        first.configure(supervisor="embedded = false")
        first.serve()
        second = Site(folder)
        second.configure(supervisor="embedded = false")
        try:
            second.serve()
            first.start("supervise")
            yield first, second
        finally:
            second.stop()


@pytest.mark.slow
@pytest.mark.upstream("R8", "A4.6", "R6")
def test_two_webs_and_a_supervisor_lose_nothing_and_lock_nobody_out(tmp_path):
    with two_webs(tmp_path / "two") as webs:
        crowd = Crowd(*webs)
        storage = SQLiteStorage(SQLiteOptions(path=tmp_path / "two" / "data" / "opus.sqlite"))
        shared = webs[0].create("quick", {"ledger": "0", "seconds": "0"}, run=False)
        shared = shared.partition("/rest/")[2]
        last = dict.fromkeys(FIELDS, "0")
        first, _ = storage.changes(-1)
        followed, over = [], threading.Event()

        def follow():
            position = first
            while not over.is_set() or storage.changes(position, limit=1)[1]:
                if storage.wait_change(position, 0.2):
                    position, changes = storage.changes(position, limit=50)
                    followed.extend(changes)

        def change(field):
            def once(turn):
                value = str(turn + 1)
                crowd.ask("POST", f"/rest/{shared}/parameters", {field: value})
                last[field] = value

            return once

        follower = threading.Thread(target=follow)
        follower.start()
        try:
            makers = [lambda turn, name=name: crowd.make(name, turn) for name in "abc"]
            crowd.run(*makers, *map(change, FIELDS))
        finally:
            over.set()
            follower.join()

        # Nobody was refused, and every change that was promised is there.
        assert crowd.refusals == []
        assert set(crowd.statuses) == {200, 303}
        assert crowd.statuses.total() > 20 * SECONDS, "that was no load"
        for web in webs:
            shown = {
                one["id"]: one["value"] for one in web.document(f"/rest/{shared}")["parameters"]
            }
            assert {field: shown[field] for field in FIELDS} == last
        assert min(map(int, last.values())) > SECONDS

        # Every job is there as it was made, but for those that were deleted.
        left = {
            job_id: run_id for job_id, run_id in crowd.made.items() if job_id not in crowd.deleted
        }
        listed = {one["jobId"]: one["runId"] for one in webs[1].document("/rest/quick")["jobs"]}
        del listed[shared.partition("/")[2]]
        assert listed == left

        # What was to be run has been, and who followed the journal has seen all there is, in order.
        def running():
            answer = webs[0].get("/rest/quick?PHASE=QUEUED&PHASE=EXECUTING&LIMIT=1")
            return "jobref" in answer.text

        eventually(lambda: not running(), 120)
        _, written = storage.changes(first, limit=10**6)
        seen = [change.seq for change in followed]
        assert seen == [change.seq for change in written[: len(seen)]]
        assert len(seen) > len(crowd.made)
        phases = {}
        for change in written:
            assert phases.get(change.job_id) == change.old, change
            phases[change.job_id] = change.new
        assert {change.job_id for change in written if change.old is None} == set(crowd.made)
        storage.close()
        log = (tmp_path / "two" / "data" / "opus.log").read_text()
        assert "locked" not in log
        assert "Traceback" not in log
