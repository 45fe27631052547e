"""How answers leave the embedded server, where only the inside can tell."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from waitress.adjustments import Adjustments

from opus_core.pacing import PacedChannel
from opus_core.spool import Spool
from opus_core.unsent import Unsent


@pytest.fixture
def channel(tmp_path):
    ours, theirs = socket.socketpair()
    server = SimpleNamespace(active_channels={}, pull_trigger=lambda: None)
    unsent = Unsent(Spool(tmp_path, largest=1))
    channel = PacedChannel(unsent, server, ours, ("127.0.0.1", 0), Adjustments(), map={})
    channel.theirs = theirs
    yield channel
    ours.close()
    theirs.close()


@contextmanager
def held_by_another(lock):
    held, release = threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            release.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    yield
    release.set()
    thread.join(20)


def test_the_sending_thread_sends_what_is_left(channel):
    assert not channel.writable()
    channel.total_outbufs_len = 5
    assert channel.writable()


def test_the_sending_thread_sleeps_while_another_one_sends(channel):
    channel.total_outbufs_len = 5
    with held_by_another(channel.outbuf_lock):
        assert not channel.writable()
    assert channel.writable()


def test_a_connection_that_is_to_be_closed_is_closed_in_any_case(channel):
    channel.will_close = True
    with held_by_another(channel.outbuf_lock):
        assert channel.writable()


def test_of_one_that_is_to_be_closed_nobody_waits_for_what_is_left(channel):
    channel.total_outbufs_len = 5
    channel.will_close = True
    assert channel.writable()
    channel.theirs.settimeout(20)
    assert channel.theirs.recv(1) == b""
