"""A job's folder as a stream of tar, and files that come back piece by piece."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from opus_core import disk
from opus_core.errors import BackendUnavailable

_PIECE: Final = 2**18  # [byte]
_KEPT_BACK: Final = (".fetched",)  # what this module itself leaves in a folder


WHOLE: Final = ".whole"
"""The last file of a stream, by which the other side knows that nothing was cut off."""


def packed(folder: Path) -> Iterator[bytes]:
    """The folder as tar, read as it is sent: no copy is made."""
    for at, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted((*folders, *names)):
            path = Path(at, name)
            inside = path.relative_to(folder)
            if path.is_symlink() or inside.parts[0] in _KEPT_BACK:
                continue
            info = tarfile.TarInfo(str(inside))
            if path.is_dir():
                info.type, info.mode = tarfile.DIRTYPE, 0o770
                yield info.tobuf(tarfile.GNU_FORMAT)
            elif path.is_file():
                yield from _file(info, path)
    # tar takes a stream that is cut off between two files for a whole one.
    yield tarfile.TarInfo(WHOLE).tobuf(tarfile.GNU_FORMAT)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _file(info: tarfile.TarInfo, path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        info.size = os.fstat(file.fileno()).st_size
        info.mode = 0o660
        yield info.tobuf(tarfile.GNU_FORMAT)
        left = info.size
        while left:
            data = file.read(min(_PIECE, left))
            if not data:
                raise BackendUnavailable(f"{path} has become shorter while it was sent")
            left -= len(data)
            yield data
    yield bytes(-info.size % tarfile.BLOCKSIZE)


@dataclass(slots=True)
class Arrivals:
    """Takes the answer of `fetch`: files of one job, each resumed where it was cut off.

    What has come of a file lies in `.fetched/` of the job's folder, and gets its name when its
    size and hash are right. `wrong` names the files whose hash was not.
    """

    folder: Path
    arrived: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _held: bytes = b""
    _name: str = ""
    _size: int = 0
    _hash: str = ""
    _left: int = -1  # of the file that is coming; -1: its fields come first
    _file: BinaryIO | None = None

    def have(self, name: str) -> int:
        """How much of a file is here [byte]."""
        try:
            return self._part(name).stat().st_size
        except FileNotFoundError:
            return 0

    def take(self, data: bytes) -> None:
        """What has come from the login node."""
        self._held += data
        while self._step():
            pass

    def close(self) -> None:
        """Nothing more comes. What is there of a file stays, to be gone on with."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _step(self) -> bool:
        if self._left < 0:
            fields = self._held.split(b"\0", 4)
            if len(fields) < 5:
                return False
            name, size, self._hash, begin = (one.decode() for one in fields[:4])
            self._name, self._size, self._held = name, int(size), fields[4]
            self._left = self._size - int(begin)
            self._open(int(begin))
        file = self._file
        if file is None:
            return False
        data, self._held = self._held[: self._left], self._held[self._left :]
        with disk.noticing_full(self.folder):
            file.write(data)
        self._left -= len(data)
        if self._left:
            return False
        self._keep(file)
        return True

    def _part(self, name: str) -> Path:
        return self.folder / ".fetched" / name.replace("/", "-")

    def _open(self, begin: int) -> None:
        part = self._part(self._name)
        with disk.noticing_full(self.folder):
            disk.make_folder(part.parent)
            # Unbuffered: what has come is there for the next try, whatever ends this one.
            self._file = open(part, "r+b" if begin else "wb", buffering=0)
            self._file.truncate(begin)
            self._file.seek(begin)

    def _keep(self, file: BinaryIO) -> None:
        """The file has come whole: give it its name if it is the right one."""
        with disk.noticing_full(self.folder):
            os.fsync(file.fileno())
        self.close()
        self._left = -1
        part = self._part(self._name)
        with part.open("rb") as whole:
            right = hashlib.file_digest(whole, "sha256").hexdigest() == self._hash
        if not right:
            part.unlink()
            self.wrong.append(self._name)
            return
        target = self.folder / self._name
        with disk.noticing_full(self.folder):
            disk.make_folder(target.parent)
            part.replace(target)
            disk.sync(target.parent)
        self.arrived.append(self._name)


@dataclass(slots=True)
class Pieces:
    """Takes the answer of `output`: pieces of stdout, stderr and progress of several jobs."""

    folders: dict[str, Path]  # here, by the folder there
    more: bool = False  # a piece was as long as a piece can be
    most: int = 2**20
    _held: bytes = b""
    _left: int = -1
    _file: BinaryIO | None = None

    def take(self, data: bytes) -> None:
        """What has come from the login node."""
        self._held += data
        while self._step():
            pass

    def close(self) -> None:
        """Nothing more comes."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _step(self) -> bool:
        if self._left < 0:
            fields = self._held.split(b"\0", 4)
            if len(fields) < 5:
                return False
            folder, name, begin, length = (one.decode() for one in fields[:4])
            self._held, self._left = fields[4], int(length)
            self.more = self.more or self._left >= self.most
            self._open(self.folders[folder] / name, int(begin))
        data, self._held = self._held[: self._left], self._held[self._left :]
        if self._file is not None:
            with disk.noticing_full(Path(self._file.name)):
                self._file.write(data)
        self._left -= len(data)
        if self._left:
            return False
        self.close()
        self._left = -1
        return True

    def _open(self, path: Path, begin: int) -> None:
        try:
            self._file = open(path, "r+b" if path.exists() else "wb")
        except FileNotFoundError:  # the job has been removed meanwhile
            self._file = None
            return
        self._file.truncate(begin)  # the script has cut it off, or a piece was half written
        self._file.seek(begin)
