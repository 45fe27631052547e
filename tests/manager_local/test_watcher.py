"""The one thread that keeps times and waits for ends."""

from __future__ import annotations

import errno
import os
import subprocess
import threading

from opus_core.testing.timing import eventually
from opus_manager_local import watcher as watcher_module
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


def test_what_cannot_be_watched_now_is_watched_later(monkeypatch):
    """Such as while too many files are open."""
    monkeypatch.setattr(watcher_module, "_AGAIN", 0.01)
    ended = threading.Event()
    child = subprocess.Popen(["sleep", "60"])
    process = Process.of(child.pid)
    open_once, refused = Process.open, []

    def refuse_twice(self):
        if len(refused) < 2:
            refused.append(self)
            raise OSError(errno.EMFILE, "Too many open files")
        return open_once(self)

    monkeypatch.setattr(Process, "open", refuse_twice)
    watcher = Watcher(ended.set)
    watcher.watch(process)
    eventually(lambda: len(refused) == 2, "it is tried again")
    child.terminate()
    assert ended.wait(10)
    watcher.close()
    child.wait()


def test_after_a_failure_others_are_watched_all_the_same(monkeypatch):
    fails = True
    told = threading.Event()
    taking = Watcher._take_due

    def take_due(self):
        if fails:
            raise RuntimeError("a mistake")
        return taking(self)

    monkeypatch.setattr(Watcher, "_take_due", take_due)
    monkeypatch.setattr(threading, "excepthook", lambda said: None)
    watcher = Watcher(told.set)
    watcher.watch(Process("another boot", 1, 1))
    eventually(lambda: watcher._wake < 0, "the thread has failed")
    fails = False
    watcher.watch(Process("another boot", 2, 1))
    assert told.wait(10)
    watcher.close()


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
