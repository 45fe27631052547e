"""What goes wrong with a file is told in the core's words, and changes nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

import pytest

from opus_core.backends import JobQuery
from opus_core.errors import BadRequest, StorageFull, Unavailable, UnknownJob
from opus_core.job import Parameter
from opus_core.testing.samples import a_job, an_account
from opus_core.testing.timing import race
from opus_storage_sqlite import engine
from opus_storage_sqlite.storage import SQLiteOptions, SQLiteStorage
from services_missing import lacking


@contextmanager
def writing_elsewhere(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.fixture
def hasty(storage, path):
    hasty = SQLiteStorage(SQLiteOptions(path=path, busy_timeout=0.05))
    yield hasty
    hasty.close()


def test_a_lock_that_outlasts_the_timeout_is_unavailable_and_says_when_to_come_back(hasty, path):
    job = a_job()
    with writing_elsewhere(path), pytest.raises(Unavailable, match="busy") as refusal:
        hasty.add(job)
    assert type(refusal.value) is Unavailable
    assert refusal.value.retry_after == 1.0
    with pytest.raises(UnknownJob):
        hasty.read(job.id)
    assert hasty.add(job).version == 1


def test_readers_are_not_stopped_by_a_writer(hasty, path):
    job = hasty.add(a_job())
    with writing_elsewhere(path):
        assert hasty.read(job.id) == job
        assert [one.id for one in hasty.get_list(JobQuery())] == [job.id]


def test_a_writer_of_the_same_process_waits_no_longer_than_the_timeout(hasty):
    with hasty._database.writing():
        outcomes = race(lambda: hasty.add(a_job()))
    assert isinstance(outcomes[0], Unavailable)


def test_a_file_that_may_not_grow_is_full_and_nothing_has_changed(storage, path, connections):
    job = storage.add(a_job())
    newest = storage.changes(-1)[0]
    storage.close()

    def full(connection):
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    connections.append(full)
    large = (Parameter(name="x", value="x" * 500_000),)
    with pytest.raises(StorageFull, match="no space is left"):
        storage.add(a_job(parameters=large))
    with pytest.raises(StorageFull):
        storage.save(replace(job, parameters=large), expected=1)
    connections.clear()
    storage.close()
    assert storage.read(job.id) == job
    assert storage.changes(newest) == (newest, [])
    assert storage.save(replace(job, parameters=large), expected=1).version == 2


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        lacking("this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_storage_full_until_there_is_room(small_disk):
    storage = SQLiteStorage(SQLiteOptions(path=small_disk / "opus.sqlite"))
    storage.prepare()
    kept = []
    large = (Parameter(name="x", value="x" * 50_000),)
    with suppress(StorageFull):
        kept.extend(storage.add(a_job(parameters=large)) for _ in range(100))
    assert 2 < len(kept) < 100
    assert [storage.read(job.id) for job in kept] == kept
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert storage.add(a_job(parameters=large)).version == 1
    storage.close()


def test_a_file_that_was_removed_is_unavailable_and_not_written_into(storage, path):
    job = storage.add(a_job())
    storage.read(job.id)
    for file in path.parent.iterdir():
        file.unlink()
    with pytest.raises(Unavailable, match="is missing"):
        storage.add(a_job())
    time.sleep(engine.TRUSTED)  # so long nobody looks who only reads
    with pytest.raises(Unavailable, match="is missing"):
        storage.read(job.id)
    assert not path.exists(), "an empty database stands in its place"


def test_a_back_up_put_in_the_place_of_the_file_is_what_is_read(storage, path):
    old = storage.add(a_job())
    back_up = path.with_name("back-up")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(back_up),))
    lost = storage.add(a_job())
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()
    os.replace(back_up, path)
    time.sleep(engine.TRUSTED)
    assert storage.read(old.id) == old
    with pytest.raises(UnknownJob):
        storage.read(lost.id)


@pytest.mark.parametrize(
    "content", [b"this is no database" * 1000, b"SQLite format 3\0" + b"\xff" * 8000]
)
def test_a_broken_file_is_unavailable(path, make, content):
    path.write_bytes(content)
    with pytest.raises(Unavailable, match="cannot be used"):
        make().prepare()
    with pytest.raises(Unavailable, match="cannot be used"):
        make().read("1")


def test_an_empty_file_is_no_storage_until_it_is_prepared(path, make):
    path.touch()
    storage = make()
    with pytest.raises(Unavailable, match="no such table"):
        storage.read("1")
    storage.prepare()
    assert storage.add(a_job()).version == 1
    storage.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"run_id": "half \ud83d"},
        {"owner": "\udc80"},
        {"parameters": (Parameter(name="x", value="\ud800"),)},
        {"job_info": {"\udfff": "x"}},
    ],
)
def test_half_a_character_is_refused_and_named(storage, changes):
    job = a_job(**changes)
    with pytest.raises(BadRequest, match=r"U\+D[89A-F][0-9A-F]{2}.*half of a character"):
        storage.add(job)
    with pytest.raises(UnknownJob):
        storage.read(job.id)


def test_half_a_character_asked_for_is_refused_too(storage):
    with pytest.raises(BadRequest):
        storage.read("\ud800")
    with pytest.raises(BadRequest):
        list(storage.get_list(JobQuery(text="\ud800")))
    with pytest.raises(BadRequest):
        storage.accounts().add_user(an_account("\ud800"))


def test_nul_comes_back_and_is_found_behind(storage):
    nul = "one\0two"
    job = storage.add(
        a_job(
            owner=nul,
            run_id=nul,
            quota_key=nul,
            parameters=(Parameter(name=nul, value=nul),),
            native_ids=(nul,),
            job_info={nul: nul},
        )
    )
    assert storage.read(job.id) == job
    assert [one.id for one in storage.get_list(JobQuery(owner=nul, text="TWO"))] == [job.id]
    assert list(storage.get_list(JobQuery(owner="one"))) == []


@pytest.mark.parametrize("record", [{"x": float("nan")}, {"x": {1, 2}}, {"x": b"bytes"}])
def test_a_record_that_is_no_json_is_refused(storage, record):
    with pytest.raises(BadRequest, match="JSON"):
        storage.append("audit", record)
    assert storage.records("audit") == []
