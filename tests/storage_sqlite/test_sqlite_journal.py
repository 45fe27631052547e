"""The journal is cut off behind 30 days, a little at a time, and never silently."""

from __future__ import annotations

import threading
import time

import pytest

from opus_core.errors import Gap
from opus_core.testing.samples import a_job
from opus_storage_sqlite import journal
from opus_storage_sqlite.engine import SQLiteDatabase

DAY = 86_400.0


@pytest.fixture
def storage(pass_time, storage):
    return storage


def _add(storage, count, **changes):
    return [storage.add(a_job(**changes)).id for _ in range(count)]


def _kept(storage):
    with storage._database.reading() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM journal").scalar_one()


def test_entries_of_31_days_go_as_new_ones_come(storage, pass_time):
    _add(storage, 20)
    pass_time(31 * DAY)
    young = _add(storage, journal._TRIM_EVERY)
    with pytest.raises(Gap) as gap:
        storage.changes(0)
    assert gap.value.newest == storage.changes(-1)[0]
    with pytest.raises(Gap):
        storage.changes(19)
    assert [change.job_id for change in storage.changes(20)[1]] == young


def test_a_gap_is_one_for_owners_too_who_lost_nothing(storage, pass_time):
    _add(storage, 5, owner="ann")
    pass_time(31 * DAY)
    bobs = _add(storage, journal._TRIM_EVERY, owner="bob")
    with pytest.raises(Gap):
        storage.changes(0, owner="bob")
    assert len(storage.changes(5, owner="bob")[1]) == len(bobs)


def test_a_bounded_number_goes_at_once(storage, pass_time, monkeypatch):
    monkeypatch.setattr(journal, "_TRIM_EVERY", 1)
    monkeypatch.setattr(journal, "_OLDEST", journal._OLDEST.limit(3))
    _add(storage, 10)
    pass_time(31 * DAY)
    for left in (8, 6, 4):
        _add(storage, 1)
        assert _kept(storage) == left


def test_more_goes_than_comes():
    assert journal._TRIM > journal._TRIM_EVERY


def test_a_clock_set_back_makes_no_hole(storage, pass_time):
    _add(storage, 1)
    pass_time(-40 * DAY)
    _add(storage, 1)  # dated earlier, numbered later
    pass_time(40 * DAY)
    newest = _add(storage, journal._TRIM_EVERY)[-1]
    _, changes = storage.changes(0)
    assert [change.seq for change in changes] == list(range(1, journal._TRIM_EVERY + 3))
    assert changes[-1].job_id == newest


def test_a_journal_that_was_emptied_still_knows_its_newest_number(storage, pass_time):
    _add(storage, 3)
    with storage._database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM journal")
        connection.exec_driver_sql("INSERT INTO horizon VALUES ('journal', 3)")
    assert storage.changes(-1) == (3, [])
    assert storage.changes(3) == (3, [])
    _add(storage, 1)
    assert storage.changes(3)[0] == 4


def test_a_change_of_this_process_wakes_at_once(storage, monkeypatch):
    monkeypatch.setattr(SQLiteDatabase, "ask_every", 60.0)
    newest = storage.changes(-1)[0]
    woken = []
    waiting = threading.Thread(target=lambda: woken.append(storage.wait_change(newest, 60.0)))
    waiting.start()
    begun = time.monotonic()
    storage.add(a_job())
    waiting.join(30)
    assert woken == [True]
    assert time.monotonic() - begun < 30
