"""What answers wait to be sent is bounded, and it is the slowest who have to go."""

from __future__ import annotations

import errno
import os
import socket
import time
from types import SimpleNamespace

import pytest
from waitress.channel import ClientDisconnected

from core.test_spool import everything, served, written
from opus_core import intake
from opus_core import spool as spools
from opus_core import unsent as module
from opus_core.spool import Spool
from opus_core.testing.timing import eventually
from opus_core.unsent import Unsent

MIB = 2**20


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "spool", largest=MIB)
    made.prepare()
    return made


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(module, "_FAIR", 0.0)


def shares(unsent, count):
    """Shares that note when their connection is to be closed."""
    made = []
    for _ in range(count):
        ended = []
        share = unsent.share(lambda ended=ended: ended.append(1))
        share.ended = ended
        made.append(share)
    return made


@pytest.fixture
def fill():
    """Has so many bytes wait in a buffer of a share."""
    buffers = []

    def fill(share, size):
        buffers.append(share.buffer())
        for _ in range(size // 65536):
            buffers[-1].append(b"x" * 65536)
        share.waits()
        return buffers[-1]

    yield fill
    for buffer in buffers:
        buffer.close()


# -- one buffer


def test_what_is_small_stays_in_memory_and_what_is_large_goes_to_the_disk(spool, fill):
    unsent = Unsent(spool)
    (share,) = shares(unsent, 1)
    buffer = fill(share, MIB)
    assert (share.memory, share.disk) == (MIB, 0)
    assert not written(spool.folder)
    buffer.append(b"y" * 20_000)
    assert (share.memory, share.disk) == (0, MIB + 20_000)
    assert sum(written(spool.folder)) >= MIB
    assert buffer.get(MIB + 20_000) == b"x" * MIB + b"y" * 20_000
    buffer.close()
    buffer.close()
    assert (share.size, unsent.total) == (0, 0)
    assert not written(spool.folder)


def test_a_large_answer_goes_to_the_disk_at_once(spool):
    unsent = Unsent(spool)
    (share,) = shares(unsent, 1)
    buffer = share.buffer()
    buffer.append(b"HTTP/1.1 200 OK\r\n\r\n")
    buffer.append(b"x" * 2 * MIB)
    assert (share.memory, share.disk) == (0, 2 * MIB + 19)
    assert buffer.get(40) == b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 21
    buffer.close()


def test_what_has_been_sent_takes_no_room_and_the_buffer_is_as_new(spool):
    unsent = Unsent(spool)
    (share,) = shares(unsent, 1)
    for size in (10, 20_000, 3 * MIB):
        buffer = share.buffer()
        buffer.append(b"x" * size)
        assert unsent.total == (size if size > 16384 else 0)
        buffer.settle()
        assert unsent.total == size
        assert not buffer.is_new
        buffer.skip(size, True)
        buffer.clear()
        assert (unsent.total, len(buffer), buffer.is_new) == (0, 0, True)
        assert not written(spool.folder)
        buffer.append(b"again")
        assert buffer.get(10) == b"again"
        buffer.close()


def test_small_answers_count_as_soon_as_their_clients_let_us_wait(spool):
    unsent = Unsent(spool)
    (share,) = shares(unsent, 1)
    buffer = share.buffer()
    buffer.append(b"x" * 8000)
    buffer.append(b"x" * 8000)
    assert unsent.total == 0
    buffer.settle()
    buffer.settle()
    assert (share.memory, unsent.total) == (16000, 16000)
    buffer.append(b"x" * 2000)
    buffer.close()
    assert unsent.total == 0


def test_many_small_ones_go_to_the_disk_when_the_memory_is_used_up(spool, fill):
    unsent = Unsent(spool, in_memory=10 * 65536)
    buffers = [fill(share, 65536) for share in shares(unsent, 12)]
    assert unsent._memory == 10 * 65536
    assert unsent._disk == 2 * 65536
    for buffer in buffers:
        buffer.close()
    assert unsent.total == 0


def test_on_a_full_disk_answers_stay_in_memory(spool, monkeypatch, fill):
    monkeypatch.setattr(spools.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    unsent = Unsent(spool, in_memory=8 * MIB)
    one, other = shares(unsent, 2)
    buffer = fill(one, 6 * MIB)
    assert (one.memory, one.disk) == (6 * MIB, 0)
    fill(other, 4 * MIB)
    assert one.ended
    assert (other.memory, unsent.total) == (4 * MIB, 4 * MIB)
    buffer.close()
    assert unsent.total == 4 * MIB


def test_where_no_file_can_be_made_answers_stay_in_memory(spool, monkeypatch, fill):
    def refuse(*rest, **more):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(spools.tempfile, "TemporaryFile", refuse)
    (share,) = shares(Unsent(spool), 1)
    buffer = fill(share, 3 * MIB)
    assert (share.memory, share.disk) == (3 * MIB, 0)
    assert buffer.get(3 * MIB) == b"x" * 3 * MIB


def test_a_disk_that_gets_full_on_the_way_ends_the_slowest(spool, monkeypatch, fill):
    free = SimpleNamespace(free=100 * MIB)
    monkeypatch.setattr(spools.shutil, "disk_usage", lambda folder: free)
    one, other = shares(Unsent(spool), 2)
    fill(one, 4 * MIB)
    buffer = fill(other, 2 * MIB)
    free.free = 1000
    buffer.append(b"x" * 65536)
    assert one.ended
    with pytest.raises(ClientDisconnected):
        buffer.append(b"x" * 65536)


# -- all together


def test_beyond_the_limit_the_slowest_has_to_go(spool, fill):
    unsent = Unsent(spool, most=10 * MIB)
    fast, slow, middling, new = shares(unsent, 4)
    buffers = [fill(share, 3 * MIB) for share in (fast, slow, middling)]
    fast.took(2 * MIB)
    middling.took(MIB)
    time.sleep(0.01)
    buffers.append(fill(new, 2 * MIB))
    assert (fast.ended, slow.ended, middling.ended, new.ended) == ([], [1], [], [])
    assert unsent.total == 8 * MIB
    with pytest.raises(ClientDisconnected):
        buffers[1].append(b"x" * 20_000)
    fill(new, 5 * MIB)
    assert middling.ended
    assert not fast.ended
    for buffer in buffers:
        buffer.close()
    assert unsent.total == 5 * MIB


def test_who_has_had_no_time_to_show_how_fast_it_is_stays(spool, monkeypatch, fill):
    monkeypatch.setattr(module, "_FAIR", 60)
    unsent = Unsent(spool, most=4 * MIB)
    one, other = shares(unsent, 2)
    fill(one, 3 * MIB)
    with pytest.raises(ClientDisconnected):
        fill(other, 3 * MIB)
    assert not one.ended


def test_what_a_client_took_before_it_let_us_wait_does_not_count(spool):
    (share,) = shares(Unsent(spool), 1)
    share.took(10**9)
    share.waits()
    time.sleep(0.01)
    share.took(100)
    assert 0 < share.speed(time.monotonic()) <= 10_000
    share.rests()
    assert not share.known(time.monotonic())


# -- with connections


@pytest.fixture
def limited(monkeypatch):
    """The server's own count, with lower limits; known as soon as there is a server."""
    made = []

    def unsent(spool):
        made.append(Unsent(spool, most=64 * MIB, in_memory=8 * MIB))
        return made[-1]

    monkeypatch.setattr(intake, "Unsent", unsent)
    return made


def large(environ, start_response):
    size = int(environ["QUERY_STRING"] or 12 * MIB)
    start_response("200 OK", [("Content-Length", str(size))])
    return [b"x" * size]


def ask(port, query=""):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", int(port)))
    connection.sendall(f"GET /?{query} HTTP/1.1\r\nHost: opus.test\r\n\r\n".encode())
    return connection


def test_clients_that_read_nothing_are_bounded_and_others_get_their_answers(spool, limited):
    with served(large, spool) as port:
        idle = [ask(port) for _ in range(20)]
        eventually(lambda: limited[0].total > 40 * MIB, "their answers wait")
        for _ in range(5):
            with ask(port, "8000000") as client:
                client.sendall(b"GET /?1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert everything(client).count("x") == 8_000_001
            assert limited[0].total <= 64 * MIB
            assert sum(written(spool.folder)) <= 65 * MIB
        for client in idle:
            client.close()
        eventually(lambda: limited[0].total == 0 and not written(spool.folder), "all is given back")


def test_an_answer_that_was_taken_leaves_nothing_while_the_connection_stays_open(spool, limited):
    with served(large, spool) as port, ask(port) as client:
        eventually(lambda: written(spool.folder), "it lies on the disk")
        left = 12 * MIB
        while left > 0:
            left -= len(client.recv(65536))
        eventually(lambda: not written(spool.folder) and limited[0].total == 0, "it is gone")
        client.sendall(b"GET /?5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert everything(client).endswith("\r\n\r\nxxxxx")


def test_a_client_that_takes_nothing_for_long_is_closed(spool, limited):
    """waitress alone would only mean to."""
    with served(large, spool, channel_timeout=1, cleanup_interval=1) as port, ask(port):
        eventually(lambda: limited[0].total > MIB, "its answer waits")
        eventually(lambda: limited[0].total == 0, "it is closed")
