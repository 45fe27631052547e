"""What runs on the login node, tried on this machine by a bash that stands for ssh."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

import pytest

from opus_core.errors import BackendUnavailable
from opus_core.links import Links
from opus_manager_slurm.exchange import exchange
from opus_manager_slurm.far import Call, fields_of, links_of
from opus_manager_slurm.staging import Arrivals, Pieces, packed


def call(verb, *fields, stream=(), sink=None, noise=""):
    """The code, the text and what was printed; `noise` comes from the login shell before."""
    parts = []
    one = Call(verb, *fields, sink=sink or parts.append)
    exchange(["bash", "-c", f"printf %s {shlex.quote(noise)}; {one.command}"],
             feed=one.feed(stream), take=one.take, quiet=20)  # fmt: skip
    code, said = one.ended()
    return code, said, b"".join(parts)


@pytest.fixture
def job(tmp_path):
    """A job's folder as the supervisor writes it."""
    folder = tmp_path / "here"
    for name in ("input", "work", "results"):
        (folder / name).mkdir(parents=True)
    (folder / "script").write_text("true\n")
    (folder / "run").write_text("echo run\n")
    (folder / "input" / "a b").write_bytes(bytes(range(256)) * 5000)
    return folder


def start(there, job, *words, script="echo from the batch script\n"):
    return call("start", "10", words or ("bash",), str(there), script, stream=packed(job))


def test_a_folder_arrives_whole_and_the_command_reads_the_script(job, tmp_path):
    there = tmp_path / "root" / "tag"
    there.parent.mkdir()
    assert start(there, job) == (0, "", b"from the batch script\n")
    assert (there / "input" / "a b").read_bytes() == (job / "input" / "a b").read_bytes()
    assert (there / "results").is_dir()
    assert [one.name for one in there.parent.iterdir()] == ["tag"], "nothing else is left"


@pytest.mark.parametrize(
    "noise", ["", "Welcome\n", "no newline", "x" * 100_000, "\nopus-0-begin\n"]
)
def test_what_a_login_shell_prints_is_skipped(job, tmp_path, noise):
    code, said, out = call("run", "10", ["echo", "a  b", "$(id)", "'\""], noise=noise)
    assert (code, said, out) == (0, "", b"a  b $(id) '\"\n")


def test_code_and_error_of_a_command_come_back_apart(tmp_path):
    code, said, out = call("run", "10", ["bash", "-c", "echo out; echo err >&2; exit 7"])
    assert (code, said.strip(), out) == (7, "err", b"out\n")


def test_a_command_that_hangs_is_ended_there():
    code, _, _ = call("run", "1", ["sleep", "60"])
    assert code == 124  # timeout's word for it


def test_an_answer_that_is_cut_off_is_none():
    one = Call("run", "10", ["true"], sink=lambda data: None)
    one.take(b"\nsome of it")
    with pytest.raises(BackendUnavailable, match="cut off"):
        one.ended()


def test_a_folder_that_cannot_be_made_is_told_and_nothing_is_run(job, tmp_path):
    (tmp_path / "file").write_text("")
    code, said, _ = start(tmp_path / "file" / "tag", job, "touch", str(tmp_path / "ran"))
    assert code == 75
    assert "Not a directory" in said
    assert not (tmp_path / "ran").exists()


def test_a_stream_that_is_cut_off_leaves_nothing(job, tmp_path):
    there = tmp_path / "root" / "tag"
    there.parent.mkdir()
    half = b"".join(packed(job))[:5000]
    code, _, _ = call(
        "start", "10", ["touch", str(tmp_path / "ran")], str(there), "", stream=[half]
    )
    assert code == 75
    assert list(there.parent.iterdir()) == []
    assert not (tmp_path / "ran").exists()


def test_a_stream_that_is_cut_off_between_two_files_leaves_nothing(job, tmp_path):
    """tar would be content with what has come."""
    there = tmp_path / "root" / "tag"
    there.parent.mkdir()
    pieces = list(packed(job))
    for count in range(1, len(pieces) - 1):
        stream = pieces[:count]
        code, _, _ = call(
            "start", "10", ["touch", str(tmp_path / "ran")], str(there), "", stream=stream
        )
        assert code == 75, f"after {count} of {len(pieces)} pieces"
        assert list(there.parent.iterdir()) == []
    assert not (tmp_path / "ran").exists()


def test_a_second_start_changes_nothing_there(job, tmp_path):
    there = tmp_path / "tag"
    start(there, job)
    (there / "claim").symlink_to("17")
    (job / "script").write_text("false\n")
    assert start(there, job)[0] == 0
    assert (there / "script").read_text() == "true\n"
    assert (there / "claim").readlink() == Path("17")


def test_what_was_removed_stays_removed_and_never_begins_again(job, tmp_path):
    there = tmp_path / "tag"
    start(there, job)
    (there / "claim").symlink_to("17")
    (there / "work" / "closed").mkdir(mode=0)
    assert call("remove", str(there))[0] == 0
    assert call("remove", str(there))[0] == 0
    assert [one.name for one in there.iterdir()] == ["claim"]
    start(there, job)  # one that was on its way for long
    assert [one.name for one in there.iterdir()] == ["claim"]


def test_a_seal_comes_before_a_folder_that_is_on_its_way(job, tmp_path):
    there = tmp_path / "tag"
    found = links_of(call("seal", str(there))[2], [str(there)])[str(there)]
    assert found.sealed
    start(there, job)
    assert (there / "claim").readlink() == Path("sealed")
    assert not (there / "run").exists()


@pytest.mark.parametrize("begun", [False, True])
def test_a_seal_tells_who_won(job, tmp_path, begun):
    there = tmp_path / "tag"
    start(there, job)
    (there / "claim").symlink_to("17")
    if begun:
        (there / "started").symlink_to("node/boot/1/2")
    found = links_of(call("seal", str(there))[2], [str(there)])[str(there)]
    assert found.claimant == "17"
    assert (found.begun, found.sealed) == (begun, not begun)


def test_links_of_many_folders_come_in_one_answer(tmp_path):
    folders = [tmp_path / f"tag {number}" for number in range(300)]
    for number, folder in enumerate(folders[:200]):
        folder.mkdir()
        (folder / "claim").symlink_to(str(number))
        (folder / "exit").write_text(f"claimant={number % 100}\ncode=3\nend=exit\n")
    found = links_of(call("peek", list(map(str, folders)))[2], map(str, folders))
    assert found[str(folders[7])].exit.code == 3
    assert found[str(folders[107])].exit is None, "another claimant's word"
    assert found[str(folders[250])] == Links()


def test_output_comes_piece_by_piece(job, tmp_path):
    there = tmp_path / "tag"
    start(there, job)
    (there / "stdout").write_bytes(b"0123456789" * 10)
    (there / "progress").write_text("7 %\n")

    def bring():
        pieces = Pieces({str(there): job}, most=64)
        known = []
        for name in ("stdout", "stderr", "progress"):
            path = job / name
            known += [str(there), name, str(path.stat().st_size if path.exists() else 0)]
        call("output", "64", known, sink=pieces.take)
        pieces.close()
        return pieces.more

    assert bring() is True
    assert (job / "stdout").stat().st_size == 64
    assert bring() is False
    assert (job / "stdout").read_bytes() == b"0123456789" * 10
    assert not (job / "stderr").exists()
    (there / "stdout").write_bytes(b"anew")  # the script has cut it off
    bring()
    assert (job / "stdout").read_bytes() == b"anew"


# -- results


def fetch(there, job, *names, cut=None):
    arrivals = Arrivals(job)
    wanted = [word for name in names for word in (name, str(arrivals.have(name)))]
    came = 0

    def take(data):
        nonlocal came
        came += len(data)
        arrivals.take(data)
        if cut is not None and came > cut:
            raise BackendUnavailable("the line was cut")

    try:
        call("fetch", str(there), wanted, sink=take)
    finally:
        arrivals.close()
    return arrivals, came


def test_results_come_as_they_are(job, tmp_path):
    there = tmp_path / "tag"
    start(there, job)
    (there / "results" / "big").write_bytes(bytes(range(256)) * 4000)
    (there / "results" / "empty").write_bytes(b"")
    (there / "stdout").write_text("said\n")
    (there / "results" / "link").symlink_to("/etc/hostname")
    names = ("results/big", "results/empty", "results/none", "results/link", "stdout")
    arrivals, _ = fetch(there, job, *names)
    assert arrivals.arrived == ["results/big", "results/empty", "stdout"]
    assert (job / "results" / "big").read_bytes() == (there / "results" / "big").read_bytes()
    assert not (job / "results" / "link").exists()


def test_a_file_is_gone_on_with_where_it_was_cut_off(job, tmp_path):
    there = tmp_path / "tag"
    start(there, job)
    data = b"".join(hashlib.sha256(bytes([one % 256])).digest() for one in range(60_000))
    (there / "results" / "big").write_bytes(data)
    with pytest.raises(BackendUnavailable, match="cut"):
        fetch(there, job, "results/big", cut=len(data) // 2)
    assert not (job / "results" / "big").exists()
    _, came = fetch(there, job, "results/big")
    assert came < len(data) * 0.6, "only the rest has come"
    assert (job / "results" / "big").read_bytes() == data


def test_a_beginning_that_is_another_file_s_is_noticed(job, tmp_path):
    there = tmp_path / "tag"
    start(there, job)
    (there / "results" / "big").write_bytes(b"right" * 1000)
    part = job / ".fetched" / "results-big"
    part.parent.mkdir()
    part.write_bytes(b"wrong" * 10)
    arrivals, _ = fetch(there, job, "results/big")
    assert arrivals.wrong == ["results/big"]
    assert not (job / "results" / "big").exists()
    assert fetch(there, job, "results/big")[0].arrived == ["results/big"]


def test_a_results_folder_that_is_a_link_is_not_followed(job, tmp_path):
    there = tmp_path / "tag"
    start(there, job)
    (there / "results").rmdir()
    (there / "results").symlink_to("/etc")
    assert fetch(there, job, "results/hostname")[0].arrived == []


def test_it_says_who_and_where_it_is_and_clears_up(tmp_path, monkeypatch):
    import os
    import time

    monkeypatch.setenv("HOME", str(tmp_path))
    old = time.time() - 40 * 86400
    for name, run in (("old", False), ("alive", True), ("tag.part.x", True)):
        (tmp_path / "jobs" / name).mkdir(parents=True)
        if run:
            (tmp_path / "jobs" / name / "run").touch()
        os.utime(tmp_path / "jobs" / name, (old, old))
    code, _, out = call("greet", "jobs")
    user, root, version = fields_of(out)
    assert code == 0
    assert root.decode() == str(tmp_path / "jobs")
    assert user
    assert int(version.split(b".")[0]) >= 4
    assert [one.name for one in (tmp_path / "jobs").iterdir()] == ["alive"]
