"""A scrape has an end, costs little, and harms no other one."""

from __future__ import annotations

import pytest

from metrics.life import Life
from metrics.numbers import beginning, expected, scraped, total
from opus_core.backends import JobQuery
from opus_core.errors import Unavailable
from opus_core.testing.memory import MemoryStorage
from opus_core.testing.timing import race, together
from opus_metrics import census, follower
from opus_metrics.follower import STREAM, Follower


def test_a_scrape_that_takes_too_long_is_refused_and_the_next_goes_on(storage, monkeypatch):
    monkeypatch.setattr(follower, "PAGE", 7)
    monkeypatch.setattr(census, "PAGE", 7)
    life = Life(storage, 11)
    life.go_on(150)
    one = Follower(storage, patience=0.0)
    refused = _until_answered(one)
    assert refused >= len(list(storage.get_list(JobQuery()))) > 10, "counted one by one"
    since = beginning(storage)
    life.go_on(60)
    assert _until_answered(one) > 2, "and so is what is new"
    assert scraped(one) == expected(storage, since)


def _until_answered(follower):
    refused = 0
    while refused < 1000:
        try:
            scraped(follower)
        except Unavailable:
            refused += 1
        else:
            return refused
    raise AssertionError("it never gets to an end")


def test_whoever_waits_too_long_for_others_is_refused(storage):
    one = Follower(storage, patience=0.01)
    _until_answered(one)

    def within(tally):
        [outcome] = race(lambda: one.look(lambda tally: tally.seq))
        return outcome

    assert isinstance(one.look(within), Unavailable)
    assert one.look(lambda tally: tally.seq) == 0


def test_a_scrape_with_nothing_new_asks_twice_and_writes_nothing(make, storage):
    asked = []

    class Counting(MemoryStorage):
        def changes(self, *arguments, **named):
            asked.append("changes")
            return super().changes(*arguments, **named)

        def records(self, *arguments, **named):
            asked.append("records")
            return super().records(*arguments, **named)

        def get_list(self, query):
            asked.append("get_list")
            return super().get_list(query)

        def append(self, *arguments, **named):
            asked.append("append")
            return super().append(*arguments, **named)

    Life(storage, 12).go_on(100)
    one = Follower(make(Counting))
    before = scraped(one)
    asked.clear()
    assert scraped(one) == before
    assert asked == ["records", "changes"]


# -- many at once


def test_scrapes_at_once_while_jobs_change_are_right_and_never_fall(make, storage):
    life = Life(storage, 13)
    life.go_on(30)
    one = Follower(storage)
    scraped(one)
    since = beginning(storage)

    def live():
        life.go_on(400)

    def ask():
        seen = [total(scraped(one), "opus_jobs_created_total") for _ in range(25)]
        assert seen == sorted(seen)

    together(live, ask, ask, ask, ask)
    assert scraped(one) == expected(storage, since)


# -- what is left to others


def test_what_cannot_be_left_does_not_keep_a_scrape_from_being_answered(storage, always, caplog):
    one = Follower(storage)
    scraped(one)
    since = beginning(storage)
    Life(storage, 14).go_on(20)
    with storage.failing(Unavailable("the disk is full")):
        assert scraped(one) == expected(storage, since)
    assert "the disk is full" in caplog.text


def test_a_beginning_that_cannot_be_kept_is_none(storage):
    one = Follower(storage)
    with storage.failing(Unavailable("the disk is full")), pytest.raises(Unavailable):
        scraped(one)
    assert scraped(one) == {}


def test_after_many_changes_they_are_left_at_once(storage, monkeypatch):
    monkeypatch.setattr(follower, "MANY", 20)
    one = Follower(storage)
    scraped(one)
    Life(storage, 15).go_on(15)
    scraped(one)
    assert len(storage.records(STREAM)) == 1
    Life(storage, 16).go_on(20)
    seq = one.look(lambda tally: tally.seq)
    assert [record.data["seq"] for record in storage.records(STREAM)] == [0, seq]
