"""A database is refused where SQLite cannot keep it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from opus_core.errors import ConfigError
from opus_storage_sqlite import filesystem, storage
from opus_storage_sqlite.storage import SQLiteOptions, SQLiteStorage

MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
31 27 0:40 / /home rw,relatime shared:2 master:1 - nfs4 server:/home rw,vers=4.2
32 31 254:1 / /home/local rw - xfs /dev/vdb rw
33 27 0:41 / /mnt/my\040share rw - cifs //server/share rw
34 27 0:42 / /scratch rw - lustre mgs:/scratch rw
35 27 0:43 / /over rw - nfs server:/over rw
36 35 0:44 / /over rw - tmpfs tmpfs rw
nonsense - without fields
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/opus", "ext4"),
        ("/home/ann", "nfs4"),
        ("/homes", "ext4"),
        ("/home/local/opus", "xfs"),
        ("/mnt/my share/opus", "cifs"),
        ("/scratch", "lustre"),
        ("/over/here", "tmpfs"),
    ],
)
def test_a_folder_is_on_the_mount_nearest_above_it(path, kind):
    assert filesystem.kind_of(Path(path), MOUNTS) == kind


def test_where_nothing_is_mounted_nothing_is_known():
    assert filesystem.kind_of(Path("/x"), "") is None


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "lustre", "beegfs", "gpfs", "ceph", "afs"]
)
def test_file_systems_that_span_hosts_are_network(kind):
    assert filesystem.is_network(kind)


@pytest.mark.parametrize("kind", ["fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "FUSE.sshfs"])
def test_fuse_is_judged_by_its_program(kind):
    assert filesystem.is_network(kind)


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "fuse.lxcfs", "fuse"]
)
def test_local_file_systems_are_not(kind):
    assert not filesystem.is_network(kind)


def test_the_folder_of_this_test_is_on_a_known_file_system(tmp_path):
    kind = filesystem.kind_here(tmp_path)
    mounted = {
        line.split(" - ")[1].split()[0]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
    }
    assert kind in mounted
    assert filesystem.kind_here(Path("/proc/self")) == "proc"


def _checked(path, **options):
    SQLiteStorage(SQLiteOptions(path=path, **options)).check()


def test_a_local_folder_passes_and_nothing_is_left_in_it(tmp_path):
    _checked(tmp_path / "opus.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_network_file_system_is_refused_by_name(tmp_path, monkeypatch):
    mounts = f"1 1 0:1 / {tmp_path} rw - nfs4 server:/x rw"
    monkeypatch.setattr(filesystem, "kind_here", lambda folder: filesystem.kind_of(folder, mounts))
    with pytest.raises(ConfigError, match=r"network file system \(nfs4\)"):
        _checked(tmp_path / "opus.sqlite")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no folder .*nowhere; create it"):
        _checked(tmp_path / "nowhere" / "opus.sqlite")


def test_a_folder_that_takes_no_files_is_refused():
    with pytest.raises(ConfigError, match="no file can be made in /proc"):
        _checked(Path("/proc/opus.sqlite"))


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is no file"):
        _checked(tmp_path)


def test_an_sqlite_that_is_too_old_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "OLDEST_SQLITE", (99, 0, 0))
    with pytest.raises(ConfigError, match=rf"99\.0\.0 or newer.*{sqlite3.sqlite_version}"):
        _checked(tmp_path / "opus.sqlite")


def test_a_timeout_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="busy_timeout = 0"):
        _checked(tmp_path / "opus.sqlite", busy_timeout=0)
