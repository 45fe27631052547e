"""Whether a folder lies on a file system that SQLite can be trusted on.

In WAL mode all processes share memory through a mapped file, and locks must reach everybody who
has the file open: neither holds between hosts (https://www.sqlite.org/wal.html, "does not work
over a network filesystem").
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Final

NETWORK: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "9p", "afs", "coda"),
        *("lustre", "beegfs", "fhgfs", "gpfs", "ceph", "glusterfs", "panfs", "pvfs2", "orangefs"),
        *("gfs", "gfs2", "ocfs2", "wekafs", "davfs", "webdav", "acfs", "cvfs"),
    }
)
"""File system types of Linux that span hosts, as `/proc/self/mountinfo` spells them."""

_NETWORK_FUSE: Final = (
    *("sshfs", "glusterfs", "ceph", "cephfs", "beegfs", "lustre", "s3fs", "s3", "gcsfuse"),
    *("rclone", "davfs", "juicefs", "cvmfs", "moosefs", "mfs", "lizardfs", "seaweedfs"),
    *("goofys", "mount-s3", "blobfuse", "blobfuse2", "smbnetfs", "xrootdfs", "alluxio"),
)
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


def is_network(kind: str) -> bool:
    """Whether a file system of this type spans hosts; the FUSE ones are named by their program."""
    family, _, program = kind.lower().partition(".")
    if family in ("fuse", "fuseblk") and program:
        return program in _NETWORK_FUSE
    return family in NETWORK


def kind_of(path: Path, mountinfo: str) -> str | None:
    """The type of the file system that the absolute `path` lies on; None if nothing says so.

    `mountinfo` is the text of `/proc/self/mountinfo` (proc(5)): fields, optional fields, a dash,
    the type. Of several mounts on one folder the last hides the others.
    """
    found: tuple[int, str] | None = None
    for line in mountinfo.splitlines():
        before, dash, behind = line.partition(" - ")
        fields, kinds = before.split(), behind.split()
        if not dash or len(fields) < 5 or not kinds:
            continue
        mount = PurePosixPath(_ESCAPE.sub(lambda m: chr(int(m[1], 8)), fields[4]))
        depth = len(mount.parts)
        if path.is_relative_to(mount) and (found is None or depth >= found[0]):
            found = depth, kinds[0]
    return found[1] if found is not None else None


def kind_here(folder: Path) -> str | None:
    """The type of the file system of a folder on this machine; None where it cannot be told."""
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return None  # no Linux
    return kind_of(folder.resolve(), mountinfo)
