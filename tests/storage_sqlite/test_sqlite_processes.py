"""Several processes on one file: nothing is lost, nothing is overwritten, nothing is skipped."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import chain

import pytest

from opus_core.backends import JobQuery
from opus_core.job import Phase
from opus_core.testing.samples import a_job
from opus_core.testing.timing import PATIENCE
from opus_storage_sqlite import schema

PREFACE = """
import os, sys
from dataclasses import replace
from pathlib import Path
from opus_core.errors import Conflict
from opus_core.job import DefinitionRef, Job, new_id, now
from opus_storage_sqlite.storage import SQLiteOptions, SQLiteStorage
def a_job():
    return Job(id=new_id(), definition=DefinitionRef("periodogram", 1), created=now())
storage = SQLiteStorage(SQLiteOptions(path=Path(sys.argv[1]), busy_timeout=30.0))
print("ready", flush=True)
sys.stdin.readline()
"""

ADD = "for _ in range(int(sys.argv[2])): print(storage.add(a_job()).id, flush=True)"

# Each wins as often as it is told; both begin with the same version, so that one loses at once.
SAVE = """
job, wins = storage.read(sys.argv[2]), int(sys.argv[3])
version = 1
while wins:
    try:
        saved = storage.save(replace(job, run_id=f"{os.getpid()} {version}"), expected=version)
    except Conflict:
        print("lost")
        version = storage.summary(job.id).version
    else:
        print(version)
        version, wins = saved.version, wins - 1
"""

FORK = """
mine = storage.add(a_job())
child = os.fork()
if not child:
    opened = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    if any(file.startswith(sys.argv[1]) for file in opened):
        os._exit(1)
ids = [storage.add(a_job()).id for _ in range(20)]
for one in ids:
    storage.read(one)
print(mine.id, *ids, flush=True)
if not child:
    os._exit(0)
_, status = os.waitpid(child, 0)
storage.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.fixture
def run(path):
    """Starts processes that get ready and wait; answers them when all are let go at once."""
    started = []

    def run(script, *arguments, processes=1):
        mine = [
            subprocess.Popen(
                [sys.executable, "-c", PREFACE + script, str(path), *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(processes)
        ]
        started.extend(mine)
        for process in mine:
            assert process.stdout.readline() == "ready\n"
        for process in mine:
            process.stdin.write("\n")
            process.stdin.flush()
        return mine

    yield run
    for process in started:
        process.kill()
        process.communicate()


def _words(process):
    output, _ = process.communicate(timeout=3 * PATIENCE)
    assert process.returncode == 0
    return output.split()


@pytest.mark.crash
def test_a_writer_killed_at_any_moment_has_kept_what_it_returned(storage, run):
    for pause in (1, 7, 40):
        (writer,) = run(ADD, 100_000)
        returned = [writer.stdout.readline().strip() for _ in range(pause)]
        writer.kill()
        returned += writer.communicate()[0].split()
        assert len(returned) >= pause
        for job_id in returned:
            assert storage.read(job_id).id == job_id
    stored = {one.id for one in storage.get_list(JobQuery())}
    noted = {change.job_id for change in storage.changes(0, limit=10**6)[1]}
    assert stored == noted, "the journal and the jobs were written in one"
    assert storage.add(a_job()).version == 1


def test_of_two_processes_that_save_one_version_one_wins(storage, run):
    wins = 1000
    job = storage.add(a_job())
    writers = run(SAVE, job.id, wins, processes=2)
    said = {writer.pid: _words(writer) for writer in writers}
    assert "lost" in chain(*said.values()), "they did not meet"
    won = {pid: [int(word) for word in words if word != "lost"] for pid, words in said.items()}
    assert sorted(chain(*won.values())) == list(range(1, 2 * wins + 1))
    last = next(pid for pid, versions in won.items() if 2 * wins in versions)
    stored = storage.read(job.id)
    assert (stored.version, stored.run_id) == (2 * wins + 1, f"{last} {2 * wins}")


def test_processes_that_prepare_at_once_make_one_schema(run, make, path):
    for preparing in run("storage.prepare(); storage.add(a_job())", processes=4):
        _words(preparing)
    storage = make()
    storage.prepare()
    assert len(list(storage.get_list(JobQuery()))) == 4
    storage.close()
    assert schema.check(path, 5.0) == schema.VERSION


def test_a_reader_skips_nothing_that_two_processes_write(storage, run):
    each = 150
    writers = run(ADD, each, processes=2)
    seen, after = [], 0
    while len(seen) < 2 * each:
        assert storage.wait_change(after, PATIENCE), f"{len(seen)} of {2 * each} were seen"
        after, changes = storage.changes(after, limit=7)
        seen += [change.job_id for change in changes]
    written = [_words(writer) for writer in writers]
    assert sorted(seen) == sorted(chain(*written))
    for ids in written:
        assert [one for one in seen if one in set(ids)] == ids, "not in the order of commits"


def test_a_fork_shares_no_connection(storage, run, path):
    (parent,) = run(FORK)
    ids = _words(parent)
    assert len(ids) == 2 * 21
    assert {one.id for one in storage.get_list(JobQuery())} == set(ids)
    with storage._database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"


def test_what_another_process_changes_is_seen_at_the_next_read(storage, run):
    job = storage.add(a_job())
    storage.read(job.id)
    (writer,) = run(SAVE, job.id, 3)
    _words(writer)
    assert storage.summary(job.id).version == 4
    assert storage.save(replace(job, phase=Phase.ABORTED), expected=4).version == 5
