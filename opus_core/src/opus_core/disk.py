"""Write and remove files so that neither a crash nor a full disk leaves half of one."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from opus_core.errors import StorageFull

FOLDER_MODE: Final = 0o2770
FILE_MODE: Final = 0o660
SECRET_MODE: Final = 0o600

ROOM: Final = 2**20
"""A disk with fewer bytes left than this is full."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_RETRY_AFTER: Final = 60.0  # [s]
_NEW: Final = ".new."  # what files are called until they are whole
_TRIES: Final = 10  # of several who remove one folder at once


@contextmanager
def noticing_full(where: Path) -> Iterator[None]:
    """Turn "no space left" and "quota exceeded" into `StorageFull`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StorageFull(
            f"no space is left below {where} ({error.strerror}); try again later",
            retry_after=_RETRY_AFTER,
        ) from error


Fingerprint = tuple[int, int, int, int, int]


def fingerprint(told: os.stat_result) -> Fingerprint:
    """What tells a file, as `os.stat` found it, from all others that have had or will have its
    name: none of ours is written to, but another one put in its place."""
    return told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file or folder of ours, which need not be there yet, and the room that must be left."""

    name: str
    path: Path
    least: int = ROOM  # [byte]


def short_of_room(places: Iterable[Place]) -> list[str]:
    """The names of places with too little room left."""
    return [place.name for place in places if _free(place.path) < place.least]


def _free(path: Path) -> int:
    """Bytes left for us where the path is, or will be."""
    while not path.exists():
        path = path.parent
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


class NewFile:
    """A file that appears under its name whole and on the disk, or not at all.

    Used as a context: what is not kept by its end is removed.
    """

    def __init__(self, folder: Path, mode: int = FILE_MODE) -> None:
        self._path = folder / f"{_NEW}{secrets.token_hex(8)}"
        self._mode = mode

    def __enter__(self) -> Self:
        # Never group-readable before it has its mode, whatever the umask.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        os.fchmod(descriptor, self._mode)
        return self

    def write(self, data: bytes) -> None:
        """Append to the file."""
        self._file.write(data)

    def keep(self, name: str) -> None:
        """Give the file its name, in place of what has it. The name itself is on the disk after
        `sync` of the folder."""
        self._file.flush()
        os.fsync(self._file.fileno())
        os.rename(self._path, self._path.with_name(name))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with suppress(FileNotFoundError):  # kept
                self._path.unlink()
        finally:
            # What could not be flushed has been reported by write or keep.
            with suppress(OSError):
                self._file.close()


def put(path: Path, data: bytes, mode: int = FILE_MODE) -> None:
    """Write a file whole, in place of what has its name."""
    with NewFile(path.parent, mode) as file:
        file.write(data)
        file.keep(path.name)


def tidy(folder: Path) -> None:
    """Remove what somebody who was killed has left half written in it. Whoever is still at it finds
    that his file is gone when he would give it its name."""
    for path in folder.glob(f"{_NEW}*"):
        with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
            path.unlink()


def make_file(path: Path, data: bytes, mode: int = FILE_MODE) -> None:
    """Write a file into a folder that nobody sees yet, so that it need not appear whole."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def read_whole(path: Path, most: int, *, follow: bool = False) -> bytes:
    """What a file has, of which somebody else may have made anything: a link, which is followed if
    that is said, a pipe that nobody writes to, a device.

    Raises `OSError`, also for what is no regular file, and for one of more than `most` bytes.
    """
    link = 0 if follow else os.O_NOFOLLOW
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(path, flags | link)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes", str(path))
    return data


def sync(folder: Path) -> None:
    """Make sure that the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder with our mode, if it is not there; its name is on the disk after `sync` of its
    parent. Parents that are missing are made as well, and are on the disk."""
    try:
        os.mkdir(path)
    except FileExistsError:
        return
    except FileNotFoundError:
        # If it is there now somebody was faster; or it is a link to nowhere, or of /proc, where
        # nobody makes folders, and the second try says so.
        if not os.path.lexists(path.parent):
            make_folder(path.parent)
        sync(path.parent.parent)
        with suppress(FileExistsError):
            os.mkdir(path)
    os.chmod(path, FOLDER_MODE)


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it, whatever a script has made of it; safe twice, and for several
    at once.

    Follows no links, and needs neither permissions inside nor a stack as deep as the folders are:
    each folder found is moved up beside the others first.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            _empty(path)
            path.rmdir()
        except FileNotFoundError:
            return
        except NotADirectoryError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            # Another one who removes it has moved a folder up, behind our last look.
            if error.errno != errno.ENOTEMPTY or not tries_left:
                raise
        else:
            return


def _empty(path: Path) -> None:
    top = _open_folder(path)
    try:
        while inner := _clear(top, top):
            for name in inner:
                with suppress(FileNotFoundError):  # another one was faster
                    below = _open_folder(name, top)
                    try:
                        _clear(below, top)
                    finally:
                        os.close(below)
                    os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)


def _clear(folder: int, top: int) -> list[str]:
    """Remove the files of a folder and move its folders to `top`; answers what is left in it."""
    left: list[str] = []
    for name in os.listdir(folder):
        try:
            os.unlink(name, dir_fd=folder)
        except (IsADirectoryError, PermissionError):
            if folder == top:
                left.append(name)
                continue
            with suppress(FileNotFoundError):
                # A folder has to be writable to get another parent.
                os.close(_open_folder(name, folder))
                os.rename(name, secrets.token_hex(16), src_dir_fd=folder, dst_dir_fd=top)
        except FileNotFoundError:
            continue
    return left


def _open_folder(name: str | Path, at: int | None = None) -> int:
    """Open a folder for listing and changing, allowing that to ourselves where it is not."""
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    try:
        if os.fstat(handle).st_mode & 0o700 != 0o700:
            # By the way of /proc, since chmod by name would follow a link made meanwhile.
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
        return os.open(".", _FOLDER_FLAGS, dir_fd=handle)
    finally:
        os.close(handle)
