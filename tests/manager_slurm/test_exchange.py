"""A command is fed and read at once, for a limited time, and leaves nothing running."""

from __future__ import annotations

import os
import time

import pytest

from opus_core.errors import BackendUnavailable
from opus_manager_slurm.exchange import answer, exchange


def test_what_a_command_prints_and_how_it_ends():
    found = answer(["bash", "-c", "cat; echo oops >&2; exit 3"], feed=[b"a", b"", b"b"], seconds=10)
    assert (found.code, found.stdout, found.stderr) == (3, b"ab", b"oops\n")


def test_more_than_a_pipe_holds_goes_both_ways():
    pieces = [bytes([number]) * 65536 for number in range(64)]
    assert answer(["cat"], feed=pieces, seconds=30).stdout == b"".join(pieces)


def test_a_command_that_does_not_read_is_no_error():
    assert answer(["true"], feed=[b"x" * 10**6], seconds=10).code == 0


def test_a_command_that_is_not_there_is_unavailable():
    with pytest.raises(BackendUnavailable, match=r"/nowhere/squeue cannot be run"):
        answer(["/nowhere/squeue"], seconds=10)


@pytest.mark.parametrize("limit", [{"seconds": 0.5}, {"quiet": 0.5}])
def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path, limit):
    script = f"sleep 300 & echo $! > {tmp_path}/child; wait"
    begin = time.monotonic()
    with pytest.raises(BackendUnavailable, match=r"did not answer within 0\.5 s"):
        exchange(["bash", "-c", script], take=lambda data: None, **limit)
    assert time.monotonic() - begin < 5
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while _lives(child):
        assert time.monotonic() < deadline, "its child lives on"
        time.sleep(0.01)


def test_one_that_says_something_now_and_then_may_take_long():
    parts = []
    script = "for i in 1 2 3 4 5; do echo $i; sleep 0.3; done"
    code, _ = exchange(["bash", "-c", script], take=parts.append, quiet=1.0)
    assert (code, b"".join(parts)) == (0, b"1\n2\n3\n4\n5\n")


def test_what_fails_here_ends_it():
    def take(data: bytes) -> None:
        raise BackendUnavailable("enough")

    begin = time.monotonic()
    with pytest.raises(BackendUnavailable, match="enough"):
        exchange(["bash", "-c", "yes"], take=take)
    assert time.monotonic() - begin < 5


def test_no_descriptor_is_left_open():
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        answer(["true"], seconds=10)
        with pytest.raises(BackendUnavailable):
            answer(["sleep", "60"], seconds=0.05)
    assert len(os.listdir("/dev/fd")) == before


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
