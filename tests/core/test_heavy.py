from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from opus_core import heavy
from opus_core.errors import Unavailable
from opus_core.heavy import Turns, is_heavy
from opus_core.job import Parameter, Upload
from opus_core.testing.samples import a_job


@pytest.fixture(autouse=True)
def two(monkeypatch):
    monkeypatch.setattr(heavy, "_AT_ONCE", 2)
    monkeypatch.setattr(heavy, "_PATIENCE", 0.2)


def test_so_many_have_their_turn_at_once_and_others_wait():
    turns = Turns()
    first, second, third = (turns.turn() for _ in range(3))
    first.take()
    first.take()
    second.take()
    with pytest.raises(Unavailable) as refused:
        third.take()
    assert refused.value.retry_after
    assert not third.taken
    timer = threading.Timer(0.05, first.leave)
    timer.start()
    third.take()
    timer.join()
    with pytest.raises(Unavailable):
        first.take()


def test_who_would_be_one_too_many_to_wait_is_told_at_once(monkeypatch):
    monkeypatch.setattr(heavy, "_PATIENCE", 20)
    turns = Turns(waiting=1)
    there = [turns.turn(), turns.turn()]
    for one in there:
        one.take()
    waiter = turns.turn()
    thread = threading.Thread(target=waiter.take)
    thread.start()
    while turns._line.acquire(blocking=False):
        turns._line.release()
    with pytest.raises(Unavailable):
        turns.turn().take()
    there[0].leave()
    thread.join(10)
    assert waiter.taken


def test_leaving_twice_lets_one_in():
    turns = Turns()
    first, second, third, fourth = (turns.turn() for _ in range(4))
    first.take()
    second.take()
    first.leave()
    first.leave()
    third.take()
    with pytest.raises(Unavailable):
        fourth.take()
    fourth.leave()


def test_a_job_is_heavy_by_the_number_or_the_length_of_its_values():
    short, long = Parameter(name="a", value="1"), Parameter(name="a", value="x" * 40_000)
    file = Parameter(name="f", upload=Upload(sha256="0" * 64, size=10**9))
    for parameters, expected in (
        ((), False),
        ((short,) * 200, False),
        ((short,) * 201, True),
        ((long, file), False),
        ((long, long), True),
    ):
        assert is_heavy(replace(a_job(), parameters=parameters)) is expected
