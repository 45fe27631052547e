"""The file of the log: who is written at once, and what becomes of what cannot be written.

Several processes and the real logrotate are in tests/system/test_logs.py."""

from __future__ import annotations

import errno
import logging
import os
import time

import pytest

from opus_core.lines import Text
from opus_core.logfile import LogFile
from opus_core.testing.timing import eventually

REQUESTS = "requests"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "opus.log"


@pytest.fixture
def log(path):
    made = LogFile(path, REQUESTS)
    made.setFormatter(Text())
    yield made
    made.close()


def say(log, *sentences, name="it"):
    for sentence in sentences:
        log.handle(logging.LogRecord(name, logging.INFO, "it.py", 1, sentence, (), None))


def said(path):
    return [line.rpartition(": ")[2] for line in path.read_text().splitlines()]


def test_a_line_is_in_the_file_when_the_call_is_over(log, path):
    say(log, "one", "two")
    assert said(path) == ["one", "two"]


def test_lines_of_requests_wait_for_a_moment(log, path):
    with log.lock:  # so that nobody writes them meanwhile
        say(log, "one", "two", name=REQUESTS)
        assert said(path) == []
    eventually(lambda: said(path) == ["one", "two"], "they are written")
    say(log, "three", name=REQUESTS)
    eventually(lambda: said(path) == ["one", "two", "three"], "so is the next")


def test_when_it_is_closed_they_are_written_and_no_thread_is_left(log, path):
    say(log, "one", name=REQUESTS)
    begin = time.monotonic()
    with log.lock:  # as logging.shutdown() has it
        log.close()
    assert said(path) == ["one"]
    eventually(lambda: not log._thread.is_alive(), "its thread ends")
    assert time.monotonic() - begin < 0.5


def test_they_do_not_wait_longer_than_others_and_keep_their_order(log, path):
    say(log, "one", name=REQUESTS)
    say(log, "two")
    assert said(path) == ["one", "two"]


def test_they_do_not_wait_for_ever_where_there_are_many(log, path):
    say(log, *map(str, range(1200)), name=REQUESTS)
    assert len(said(path)) >= 1000


def test_what_waits_is_written_when_the_log_is_closed(log, path):
    say(log, "one", name=REQUESTS)
    log.close()
    assert said(path) == ["one"]


def test_a_child_does_not_write_what_its_parent_has_still_to_write(log, path):
    say(log, "parent", name=REQUESTS)
    child = os.fork()
    if child == 0:
        say(log, "child", name=REQUESTS)
        time.sleep(1)  # it has a second to write it by itself
        os._exit(0)
    os.waitpid(child, 0)
    eventually(lambda: sorted(said(path)) == ["child", "parent"], "each line is there once")


def test_its_file_is_for_its_user_and_group_alone(log, path):
    assert path.stat().st_mode & 0o007 == 0


class Full:
    """os.write on a disk that takes so many bytes more."""

    def __init__(self, room):
        self.room = room
        self._write = os.write

    def __call__(self, file, data):
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data = data[: self.room]
        self.room -= len(data)
        return self._write(file, data)


@pytest.mark.parametrize("room", [0, 10, 36, 37, 38, 39, 60, 120])
@pytest.mark.parametrize("name", ["it", REQUESTS])
def test_what_finds_no_room_is_counted_and_no_line_begins_within_another(
    log, path, monkeypatch, capsys, room, name
):
    full = Full(room)
    monkeypatch.setattr(os, "write", full)
    for sentence in "abcd":
        say(log, sentence, name=name)
    log.flush()
    full.room = 1_000_000
    say(log, "e")
    lines = said(path)
    whole = [line for line in lines if line in tuple("abcde")]
    [confession] = [line for line in path.read_text().splitlines() if "could not be" in line]
    assert f"lines={5 - len(whole)}: " in confession
    assert lines[-1] == "e"
    assert {line[:1] for line in path.read_text().splitlines()} == {"2"}
    assert capsys.readouterr().err.count("No space left") == 1


def test_a_record_that_cannot_be_shown_costs_no_other(log, path, capsys):
    class Unshowable:
        def __str__(self):
            raise RuntimeError("no")

    record = logging.LogRecord("it", logging.INFO, "it.py", 1, "x", (), None)
    record.facts = {"job": Unshowable()}
    log.handle(record)
    say(log, "after")
    assert said(path) == ["after"]
