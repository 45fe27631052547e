"""A data folder: made once by whoever comes first, and at home in one place."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import stat
import subprocess
import sys

import pytest

from core.helpers.mounts import mounted
from opus_core import datadir, process
from opus_core.datadir import open_data_dir, read_data_dir
from opus_core.errors import ConfigError, StorageFull

OPEN = """
import sys
from opus_core.datadir import open_data_dir
from pathlib import Path
sys.stdin.readline()
opened = open_data_dir(Path(sys.argv[1]))
print(opened.secret.hex(), opened.instance.word, opened.at_home())
"""


@pytest.fixture
def roots_of_disks(tmp_path):
    """Two folders, each the root of a file system of its own."""
    folders = tmp_path / "original", tmp_path / "copy"
    with mounted(*folders):
        yield folders


def test_what_is_missing_is_made_and_found_again(tmp_path) -> None:
    first = open_data_dir(tmp_path / "a" / "data")
    assert first.at_home()
    assert len(first.secret) == 32
    assert open_data_dir(tmp_path / "a" / "data") == first


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["secret", "instance"])
def test_a_pipe_in_the_place_of_a_file_is_told(tmp_path, name) -> None:
    """Nobody waits for whoever would write to it."""
    open_data_dir(tmp_path)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name, 0o600)
    for read in (open_data_dir, read_data_dir):
        with pytest.raises(ConfigError, match=f"it is no regular file .*{name}"):
            read(tmp_path)


def test_two_folders_are_two_installations(tmp_path) -> None:
    one, two = open_data_dir(tmp_path / "one"), open_data_dir(tmp_path / "two")
    assert one.secret != two.secret
    assert one.instance.word != two.instance.word


def test_processes_that_open_it_at_once_agree(tmp_path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(tmp_path / "data")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for one in processes:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    answers = {one.communicate(timeout=60)[0] for one in processes}
    assert len(answers) == 1
    assert answers.pop().endswith(" True\n")
    assert sorted(os.listdir(tmp_path / "data")) == ["instance", "secret"], "nothing is left over"


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o007, 0o660), (0, 0o660)])
def test_the_group_may_read_it_where_the_umask_lets_it_and_others_never(
    tmp_path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        open_data_dir(tmp_path / "data").adopt()
    finally:
        os.umask(before)
    for name in ("secret", "instance"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == mode


def test_a_copy_is_not_at_home_but_the_original_is(tmp_path) -> None:
    original = open_data_dir(tmp_path / "data")
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    copy = open_data_dir(tmp_path / "copy")
    assert copy.instance == original.instance
    assert not copy.at_home()
    assert open_data_dir(tmp_path / "data").at_home()


def test_a_folder_of_another_host_is_not_at_home(tmp_path, monkeypatch) -> None:
    open_data_dir(tmp_path / "data")
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    assert not open_data_dir(tmp_path / "data").at_home()


def rewritten(folder, **changes):
    """Have its one place say something else; None: nothing, as of an older release."""
    file = folder / "instance"
    document = json.loads(file.read_text())
    (place,) = document["places"]
    place.update(changes)
    document["places"] = [{key: value for key, value in place.items() if value is not None}]
    file.write_text(json.dumps(document))
    return document


def test_a_reboot_is_no_move_whatever_number_the_device_has_then(tmp_path) -> None:
    """The device numbers of SCSI, NVMe, btrfs and NFS depend on the order in which they come."""
    opened = open_data_dir(tmp_path / "data")
    rewritten(tmp_path / "data", boot="before", device=7)
    assert open_data_dir(tmp_path / "data").at_home()
    rewritten(tmp_path / "data", device=7, boot=opened.here().boot)
    assert not open_data_dir(tmp_path / "data").at_home(), "another file system in the same boot"


@pytest.mark.parametrize("boot", [{}, {"boot": "before"}], ids=["same boot", "before a reboot"])
def test_a_copy_whose_inode_is_the_same_by_chance_is_not_at_home(roots_of_disks, boot) -> None:
    """As of two folders that are both the root of their file system."""
    original, copy = roots_of_disks
    open_data_dir(original)
    rewritten(original, **boot)
    shutil.copytree(original, copy, dirs_exist_ok=True)
    assert copy.stat().st_ino == original.stat().st_ino
    assert not open_data_dir(copy).at_home()
    assert open_data_dir(original).at_home()


def test_what_an_older_release_has_written_counts_as_it_did(tmp_path) -> None:
    opened = open_data_dir(tmp_path / "data")
    rewritten(tmp_path / "data", path=None, boot=None)
    older = open_data_dir(tmp_path / "data")
    assert older.at_home()
    assert older.settle().instance == opened.instance
    assert open_data_dir(tmp_path / "data") == opened, "after a reboot the device need not be known"
    rewritten(tmp_path / "data", path=None, boot=None, device=7)
    assert not open_data_dir(tmp_path / "data").at_home()


def test_it_settles_where_it_is_at_home_and_nowhere_else(tmp_path) -> None:
    opened = open_data_dir(tmp_path / "data")
    before = (tmp_path / "data" / "instance").stat()
    assert opened.settle() is opened
    assert (tmp_path / "data" / "instance").stat() == before, "nothing is written"
    rewritten(tmp_path / "data", boot="before", device=7)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    assert open_data_dir(tmp_path / "data").settle() == opened
    assert open_data_dir(tmp_path / "data") == opened
    copy = open_data_dir(tmp_path / "copy")
    assert copy.settle() is copy
    assert not open_data_dir(tmp_path / "copy").at_home()


def test_a_disk_that_is_full_loses_nothing_of_it(tmp_path) -> None:
    """By a limit in the place of a disk."""
    open_data_dir(tmp_path / "data")
    document = rewritten(tmp_path / "data", boot="before")
    opened = open_data_dir(tmp_path / "data")
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, most[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            opened.settle()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert sorted(os.listdir(tmp_path / "data")) == ["instance", "secret"]
    assert json.loads((tmp_path / "data" / "instance").read_text()) == document


def test_a_moved_folder_that_is_adopted_keeps_its_word_and_secret(tmp_path) -> None:
    original = open_data_dir(tmp_path / "data")
    shutil.copytree(tmp_path / "data", tmp_path / "moved")
    moved = open_data_dir(tmp_path / "moved").adopt()
    assert moved.at_home()
    assert open_data_dir(tmp_path / "moved") == moved
    assert (moved.instance.word, moved.secret) == (original.instance.word, original.secret)
    assert not original.__class__(original.path, original.secret, moved.instance).at_home()


def test_a_renewed_copy_has_a_word_of_its_own(tmp_path) -> None:
    original = open_data_dir(tmp_path / "data")
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    renewed = open_data_dir(tmp_path / "copy").renew()
    assert renewed.at_home()
    assert renewed.instance.word != original.instance.word
    assert open_data_dir(tmp_path / "copy") == renewed


def test_a_token_is_of_one_tag_and_one_secret(tmp_path) -> None:
    one, two = open_data_dir(tmp_path / "one"), open_data_dir(tmp_path / "two")
    assert one.event_token("a") == one.event_token("a")
    assert len({one.event_token("a"), one.event_token("b"), two.event_token("a")}) == 3


@pytest.mark.parametrize("content", ["", "{}", '{"word": "x", "places": [{}]}', "\0"])
def test_a_damaged_instance_is_one_sentence(tmp_path, content: str) -> None:
    open_data_dir(tmp_path / "data")
    (tmp_path / "data" / "instance").write_text(content)
    with pytest.raises(ConfigError, match="is damaged; restore it from a back-up"):
        open_data_dir(tmp_path / "data")


def test_a_damaged_secret_is_one_sentence(tmp_path) -> None:
    open_data_dir(tmp_path / "data")
    (tmp_path / "data" / "secret").write_text("no hexadecimal digits")
    with pytest.raises(ConfigError, match="is damaged; restore it from a back-up"):
        open_data_dir(tmp_path / "data")


@pytest.mark.parametrize("content", ["", "\n", "00" * 15])
def test_a_secret_that_could_be_guessed_is_one_sentence(tmp_path, content: str) -> None:
    open_data_dir(tmp_path / "data")
    (tmp_path / "data" / "secret").write_text(content)
    with pytest.raises(ConfigError, match=r"secret holds .* bytes, .* restore it from a back-up"):
        open_data_dir(tmp_path / "data")


def test_a_place_that_cannot_be_a_folder_is_one_sentence(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"data_dir .*/file cannot be used"):
        open_data_dir(tmp_path / "file")


def test_a_full_disk_is_told_apart(tmp_path, monkeypatch) -> None:
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(datadir, "_write", full)
    with pytest.raises(StorageFull):
        open_data_dir(tmp_path / "data")


def test_an_instance_says_where_it_is_at_home(tmp_path) -> None:
    opened = open_data_dir(tmp_path / "data")
    document = json.loads((tmp_path / "data" / "instance").read_text())
    assert document["word"] == opened.instance.word
    (place,) = document["places"]
    assert place["inode"] == (tmp_path / "data").stat().st_ino
    assert {"host", "device"} <= place.keys(), "an older release looks for these"


# -- processes


def test_this_process_is_alive_and_no_other_has_its_identity() -> None:
    assert not process.dead(process.identity())
    host, boot, pid, started = process.identity().split("/")
    assert process.dead(f"{host}/{boot}/{pid}/{int(started) + 1}"), "the pid was given out again"
    assert process.dead(f"{host}/another-boot/{pid}/{started}")
    assert not process.dead(f"elsewhere/{boot}/{pid}/1"), "nobody here knows"
    assert not process.dead("nonsense")


def test_a_process_that_has_ended_is_dead_even_as_a_zombie() -> None:
    child = subprocess.Popen(["sleep", "60"])
    who = process.identity(child.pid)
    assert not process.dead(who)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.dead(who), "a zombie"
    child.wait()
    assert process.dead(who)


@pytest.mark.upstream("S15", "S16")
@pytest.mark.parametrize("mode", [0o644, 0o662, 0o661, 0o777])
def test_a_secret_that_everybody_may_read_starts_nothing(tmp_path, mode):
    open_data_dir(tmp_path)
    (tmp_path / "secret").chmod(mode)
    with pytest.raises(ConfigError, match="chmod o="):
        open_data_dir(tmp_path)
    (tmp_path / "secret").chmod(mode & 0o770)
    open_data_dir(tmp_path)
