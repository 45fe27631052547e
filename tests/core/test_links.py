"""The three links of a job's folder."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opus_core import links
from opus_core.errors import BackendUnavailable
from opus_core.links import Exit, Links, parse_exit

EXIT = (
    b"claimant=7\ncode=0\nsignal=\nreason=\nstarted=1700000000.5\nended=1700000001,25\nend=exit\n"
)


def test_a_folder_that_is_not_there_has_no_links(tmp_path: Path) -> None:
    assert links.peek(tmp_path / "nowhere") == Links()


@pytest.mark.parametrize("look", [links.peek, links.seal])
def test_a_folder_that_cannot_be_looked_into_tells_nothing(tmp_path: Path, look) -> None:
    (tmp_path / "jobs").symlink_to("jobs")
    with pytest.raises(BackendUnavailable, match="jobs/1 cannot be looked into: Too many levels"):
        look(tmp_path / "jobs" / "1")


def test_a_look_tells_what_stands_and_writes_nothing(tmp_path: Path) -> None:
    os.symlink("7", tmp_path / "claim")
    os.symlink("host/boot/1/2", tmp_path / "started")
    found = links.peek(tmp_path)
    assert found == Links(claimant="7", started="host/boot/1/2")
    assert found.claimed
    assert found.begun
    assert not found.sealed
    assert sorted(os.listdir(tmp_path)) == ["claim", "started"]


def test_an_exit_counts_only_if_it_is_the_claimants(tmp_path: Path) -> None:
    (tmp_path / "exit").write_bytes(EXIT)
    assert links.peek(tmp_path).exit is None
    os.symlink("8", tmp_path / "claim")
    assert links.peek(tmp_path).exit is None
    (tmp_path / "claim").unlink()
    os.symlink("7", tmp_path / "claim")
    assert links.peek(tmp_path).exit == Exit(
        claimant="7",
        code=0,
        started=datetime(2023, 11, 14, 22, 13, 20, 500000, tzinfo=UTC),
        ended=datetime(2023, 11, 14, 22, 13, 21, 250000, tzinfo=UTC),
    )


def test_an_exit_that_is_a_link_or_no_file_is_none(tmp_path: Path) -> None:
    os.symlink("7", tmp_path / "claim")
    (tmp_path / "elsewhere").write_bytes(EXIT)
    os.symlink("elsewhere", tmp_path / "exit")
    assert links.peek(tmp_path).exit is None
    (tmp_path / "exit").unlink()
    os.mkfifo(tmp_path / "exit")
    assert links.peek(tmp_path).exit is None


def test_blanks_behind_the_record_are_padding() -> None:
    assert parse_exit(EXIT + b" " * 2000 + b"\n") == parse_exit(EXIT)


@pytest.mark.parametrize("length", range(len(EXIT) - 1))
def test_a_record_that_was_cut_off_is_none(length: int) -> None:
    assert parse_exit(EXIT[:length] + b" " * (len(EXIT) - length)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 2048,
        b" " * 2047 + b"\n",
        b"claimant=\ncode=0\nend=exit\n",
        b"claimant=7\ncode=zero\nend=exit\n",
        b"claimant=7\ncode=0\nended=1e300\nend=exit\n",
        b"claimant=7\ncode=0\nended=nan\nend=exit\n",
    ],
)
def test_what_does_not_add_up_is_none(data: bytes) -> None:
    assert parse_exit(data) is None


def test_a_seal_before_the_claim_keeps_every_submission_out(tmp_path: Path) -> None:
    sealed = links.seal(tmp_path)
    assert sealed.sealed
    assert not sealed.begun
    assert not sealed.claimed
    assert os.readlink(tmp_path / "claim") == "sealed"
    assert links.seal(tmp_path) == sealed
    assert os.listdir(tmp_path) == ["claim"]


def test_a_seal_after_the_claim_keeps_the_script_from_starting(tmp_path: Path) -> None:
    os.symlink("7", tmp_path / "claim")
    sealed = links.seal(tmp_path)
    assert sealed.sealed
    assert not sealed.begun
    assert os.readlink(tmp_path / "started") == "sealed"
    assert links.seal(tmp_path) == sealed


@pytest.mark.parametrize("standing", [None, "7", "sealed"])
def test_a_seal_is_on_the_disk_when_it_is_told(tmp_path: Path, monkeypatch, standing) -> None:
    if standing:
        os.symlink(standing, tmp_path / "claim")
    on_disk: list[list[str]] = []
    monkeypatch.setattr(os, "fsync", lambda _: on_disk.append(sorted(os.listdir(tmp_path))))
    assert links.seal(tmp_path).sealed
    assert on_disk == [sorted(os.listdir(tmp_path))]


def test_a_seal_comes_too_late_for_what_has_begun(tmp_path: Path) -> None:
    os.symlink("7", tmp_path / "claim")
    os.symlink("host/boot/1/2", tmp_path / "started")
    late = links.seal(tmp_path)
    assert late.begun
    assert not late.sealed
    assert os.readlink(tmp_path / "claim") == "7"


def test_a_folder_that_is_gone_is_sealed_and_not_made(tmp_path: Path) -> None:
    assert links.seal(tmp_path / "gone").sealed
    assert not (tmp_path / "gone").exists()
