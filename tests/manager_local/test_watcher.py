"""The one thread that keeps times and waits for ends."""

from __future__ import annotations

import os
import threading

from opus_manager_local.processes import Process
from opus_manager_local.watcher import Watcher


def test_what_is_due_is_done_until_it_is_closed():
    done = threading.Event()
    watcher = Watcher(lambda: None)
    watcher.later(0, done.set)
    assert done.wait(10)
    watcher.close()
    watcher.close()
    late = threading.Event()
    watcher.later(0, late.set)
    assert not late.wait(0.2)


def test_a_thread_that_leaves_before_it_is_woken_takes_nothing_away(monkeypatch):
    """It sees that it is to end as soon as it has told of an end, whoever wakes it."""
    tells = threading.Event()
    over = Process("another boot", 1, 1)

    def until_closed():
        tells.set()
        while not watcher._closed:
            threading.Event().wait(0.001)

    watcher = Watcher(until_closed)
    watcher.watch(over)
    assert tells.wait(10)
    thread = watcher._thread
    write = os.eventfd_write

    def late(*arguments):
        thread.join(0.5)
        write(*arguments)

    monkeypatch.setattr(os, "eventfd_write", late)
    watcher.close()
    assert not thread.is_alive()
