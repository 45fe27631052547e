"""Where a folder lies, written into it so that it can be told from a copy of itself."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opus_core import process


@dataclass(frozen=True, slots=True)
class Place:
    """Where a folder lies, by all that can be told of it.

    Roots of file systems have one inode, so it takes the device, too, whose number says nothing on
    another host, nor after this one was started anew. There are two questions then, for two kinds
    of harm: `is_surely` for who would act in a folder, `may_be` for who would harm another's.
    """

    host: str
    path: str  # without links; empty: not written by an older release
    boot: str  # of the host, while the device counts; empty: the same, or not known
    device: int
    inode: int

    @classmethod
    def of(cls, folder: Path) -> Place:
        """Where it lies now. Raises `OSError`."""
        status = folder.stat()
        boot = ""
        with suppress(OSError):
            boot = process.boot_id()
        path = str(folder.resolve())
        return cls(socket.gethostname(), path, boot, status.st_dev, status.st_ino)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Place:
        """What was written down, by older releases without path and boot. Raises `KeyError` and
        `TypeError` for what is no place."""
        return cls(
            host=document["host"],
            path=document.get("path", ""),
            boot=document.get("boot", ""),
            device=document["device"],
            inode=document["inode"],
        )

    def is_surely(self, other: Place) -> bool:
        """Whether both are one folder, beyond what a copy could have by chance.

        In one boot device and inode are proof. Of another boot the inode is left, which a copy has
        as well where both are roots of file systems (2 on ext4); but a copy beside the original has
        another path, and one with its path stands in its place. So the path decides then. Where a
        boot is not known, the device has to be the same, as it had to for older releases.
        """
        if (self.host, self.inode) != (other.host, other.inode):
            return False
        if self.boot == other.boot or "" in (self.boot, other.boot):
            return self.device == other.device
        return self.path == other.path

    def may_be(self, other: Place) -> bool:
        """Whether both are one, or nothing says that they are not: paths say nothing, since one
        folder may have several."""
        counts = bool(self.boot) and (self.host, self.boot) == (other.host, other.boot)
        return self.inode == other.inode and not (counts and self.device != other.device)
