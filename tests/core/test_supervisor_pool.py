"""Threads that are shared, and the lines before them."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from opus_core.errors import Unavailable
from opus_core.supervisor.pool import Pool
from opus_core.testing.timing import eventually


class Work:
    """Tasks that go on until they are let go, and the order in which they began."""

    def __init__(self):
        self.begun = []
        self._open = {}

    def task(self, name):
        self._open[name] = threading.Event()

        def work():
            self.begun.append(name)
            assert self._open[name].wait(20)

        return work

    def let_go(self, *names):
        for name in names or self._open:
            self._open[name].set()


@contextmanager
def a_pool(threads, **options):
    work = Work()
    pool = Pool("opus-test", threads, lambda: None, **options)
    try:
        yield pool, work
    finally:
        work.let_go()
        pool.stop()


def begins(work, *names):
    eventually(lambda: work.begun == list(names), f"they begin: {names}")


def test_tasks_begin_in_the_order_they_came():
    with a_pool(2) as (pool, work):
        for name in "abcd":
            assert pool.give(name, work.task(name))
        eventually(lambda: set(work.begun) == {"a", "b"}, "two have begun")
        work.let_go("a")
        eventually(lambda: work.begun[2:] == ["c"], "the third has")
        assert pool.under_way == {"b", "c", "d"}


def test_a_task_is_not_given_twice():
    with a_pool(1) as (pool, work):
        task = work.task("a")
        assert pool.give("a", task)
        assert not pool.give("a", task)
        begins(work, "a")


def test_nobody_has_more_threads_than_the_share():
    with a_pool(4, share=2) as (pool, work):
        for name in ("a1", "a2", "a3", "a4"):
            pool.give(name, work.task(name), "ann")
        eventually(lambda: len(work.begun) == 2, "two have begun")
        pool.give("b1", work.task("b1"), "bob")
        eventually(lambda: work.begun[2:] == ["b1"], "another's begins at once")
        work.let_go("a1")
        eventually(lambda: len(work.begun) == 4, "the next one's turn")
        assert work.begun[3] == "a3"


def test_who_waits_has_a_turn_before_others_have_another():
    with a_pool(1, share=1) as (pool, work):
        for name in ("a1", "a2", "a3"):
            pool.give(name, work.task(name), "ann")
        for name in ("b1", "b2"):
            pool.give(name, work.task(name), "bob")
        order = ["a1", "b1", "a2", "b2", "a3"]
        for number, name in enumerate(order, 1):
            begins(work, *order[:number])
            work.let_go(name)


def test_one_line_that_is_full_is_no_other_s():
    with a_pool(1, share=1, line=2) as (pool, work):
        given = [pool.give(name, work.task(name), "ann") for name in ("a1", "a2", "a3", "a4")]
        assert given == [True, True, True, False]  # of which one is being done
        assert "a4" not in pool.under_way
        assert pool.give("b1", work.task("b1"), "bob")


def test_what_waits_is_forgotten_at_the_end():
    with a_pool(1) as (pool, work):
        pool.give("a", work.task("a"))
        pool.give("b", work.task("b"))
        begins(work, "a")
        work.let_go("a", "b")
    assert work.begun[0] == "a"


def test_a_task_that_fails_does_not_take_its_thread_along(caplog):
    def fail():
        raise ValueError("no")

    with a_pool(1) as (pool, work):
        pool.give("bad", fail)
        pool.give("a", work.task("a"))
        begins(work, "a")
    assert "bad could not be done" in caplog.text


def test_who_cannot_be_reached_is_told_of_in_one_line(caplog):
    def fail():
        raise Unavailable("the database is away; try again")

    with a_pool(1) as (pool, _):
        pool.give("outputs", fail)
        eventually(lambda: not pool.under_way, "it has been tried")
    (line,) = caplog.records
    assert line.getMessage() == "outputs has to wait: the database is away; try again"
    assert (line.levelname, line.exc_info) == ("WARNING", None)
