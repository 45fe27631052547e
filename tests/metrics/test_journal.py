"""The journal does not go back for ever, and may be put back."""

from __future__ import annotations

import copy

from metrics.life import Life
from metrics.numbers import beginning, expected, scraped, total
from opus_metrics.follower import STREAM, Follower

DAY = 86_400  # [s]


def test_a_process_behind_the_journal_goes_on_from_what_another_left(make, storage, always):
    one, late = Follower(storage), Follower(make())
    scraped(one)
    since = beginning(storage)
    life = Life(storage, 7)
    life.go_on(30)
    scraped(late)
    wanted = expected(storage, since)
    for _ in range(4):  # `late` is asked nothing for months
        storage.pass_time(20 * DAY)
        life.go_on(10)
        now = scraped(one)
    assert storage.universe.removed > late.look(lambda tally: since), "the journal goes back"
    assert scraped(late) == now == scraped(Follower(make()))
    created = "opus_jobs_created_total"
    assert total(now, created) > total(wanted, created), "it began again"


def test_where_nobody_has_asked_for_too_long_all_begin_again_at_one_place(make, storage):
    one, other = Follower(storage), Follower(make())
    life = Life(storage, 8)
    life.go_on(30)
    before = scraped(one)
    life.go_on(30)
    before = scraped(other)
    for _ in range(4):
        storage.pass_time(20 * DAY)
        life.go_on(20)
    after = scraped(other)
    assert total(after, "opus_jobs_created_total") < total(before, "opus_jobs_created_total") + 1
    life.go_on(30)
    wanted = expected(storage, beginning(storage))
    assert scraped(one) == scraped(other) == scraped(Follower(make())) == wanted
    names = [one.data["beginning"] for one in storage.records(STREAM) if one.key is None]
    assert [one.data["replaces"] for one in storage.records(STREAM) if one.key is None] == [
        "",
        names[0],
    ]


def test_one_that_still_could_go_on_follows_those_that_began_again(make, storage):
    ahead = Follower(storage)
    life = Life(storage, 9)
    life.go_on(20)
    scraped(ahead)
    for _ in range(3):  # it is asked, but has too little to leave anything
        storage.pass_time(20 * DAY)
        life.go_on(3)
        scraped(ahead)
    storage.universe.removed = max(storage.universe.removed, beginning(storage) + 1)
    fresh = scraped(Follower(make()))
    assert scraped(ahead) == fresh == expected(storage, beginning(storage))


def test_a_storage_restored_from_a_back_up_is_begun_with_again(make, storage, always):
    one = Follower(storage)
    life = Life(storage, 10)
    scraped(one)
    life.go_on(50)
    scraped(one)
    kept = ("rows", "journal", "newest", "streams")
    back_up = copy.deepcopy({name: getattr(storage.universe, name) for name in kept})
    before = scraped(one)
    life.go_on(50)
    assert scraped(one) != before
    vars(storage.universe).update(back_up)
    assert scraped(one) == before == scraped(Follower(make()))
