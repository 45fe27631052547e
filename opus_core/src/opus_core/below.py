"""Read and write beneath a folder that others share, following no link and leaving no half.

Everything is done relative to an opened folder (`openat` and its kin), so that no name can lead
elsewhere, not even if somebody swaps a folder for a link meanwhile. What is written appears
complete, by a rename, and is on the disk when a method returns; there are no locks, since several
hosts may share the folder over NFS.

Folders are 2770 and files 0660 whatever the umask, as in `opus_core.folder`.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from opus_core.errors import Conflict, StorageFull, Unavailable

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FOLDER_MODE: Final = 0o2770
_FILE_MODE: Final = 0o660


class Below:
    """An opened folder. Names are single ones, without a slash, and checked by the caller.

    Raises `FileNotFoundError` for what is not there or is not what it was taken for,
    `StorageFull` where no space is left, `Unavailable` for what may not or cannot be read or
    written; `OSError` for what is left.
    """

    def __init__(self, descriptor: int) -> None:
        self._at = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._at)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The folder of that path, which may itself be reached by links."""
        try:
            return cls(os.open(path, _FOLDER & ~os.O_NOFOLLOW))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise Unavailable(
                f"the job descriptions in {path} cannot be read: {error.strerror}; it has to be a"
                " folder that the user OPUS runs as may use"
            ) from error

    @classmethod
    def make(cls, path: Path) -> Self:
        """The same, made first if it is not there."""
        with _writing(), suppress(FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
            path.chmod(_FOLDER_MODE)
        return cls.open(path)

    def folder(self, *names: str) -> Below:
        """A folder further down."""
        at = os.dup(self._at)
        for name in names:
            above = at
            try:
                with _only(name):
                    at = os.open(name, _FOLDER, dir_fd=above)
            finally:
                os.close(above)
        return Below(at)

    def made(self, *names: str) -> Below:
        """A folder further down, made first if it is not there."""
        below = self.folder()
        for name in names:
            with below, _writing():
                with suppress(FileExistsError):
                    _make(name, below._at)
                    os.fsync(below._at)
                below = below.folder(name)
        return below

    def names(self) -> list[str]:
        """What is in the folder, but for what is being built or removed there."""
        return sorted(name for name in os.listdir(self._at) if not name.startswith("."))

    def read(self, name: str) -> bytes:
        """A regular file."""
        with _only(name):
            descriptor = os.open(name, _FILE, dir_fd=self._at)
            with os.fdopen(descriptor, "rb") as file:
                return file.read()

    def replace(self, name: str, data: bytes) -> None:
        """Put the file there, in place of what there was."""
        temporary = _temporary(name)
        with _writing():
            try:
                _write(temporary, data, self._at)
                os.rename(temporary, name, src_dir_fd=self._at, dst_dir_fd=self._at)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=self._at)
                raise
            os.fsync(self._at)

    def create(self, name: str, files: Mapping[str, bytes]) -> None:
        """Put a folder with these files there, all at once; `Conflict` if the name is taken.

        A rename never replaces a folder that has something in it, and ours always have.
        """
        temporary = _temporary(name)
        with _writing():
            try:
                _make(temporary, self._at)
                with self.folder(temporary) as below:
                    for file, data in files.items():
                        _write(file, data, below._at)
                    os.fsync(below._at)
                os.rename(temporary, name, src_dir_fd=self._at, dst_dir_fd=self._at)
            except BaseException as error:
                self.remove(temporary)
                if isinstance(error, OSError) and error.errno in (
                    errno.EEXIST,
                    errno.ENOTEMPTY,
                    errno.ENOTDIR,
                ):
                    raise Conflict(f"{name} was made by somebody else just now") from error
                raise
            os.fsync(self._at)

    def remove(self, name: str) -> None:
        """Remove a folder of files; nothing happens if it is gone."""
        with suppress(FileNotFoundError), self.folder(name) as below:
            for file in os.listdir(below._at):
                with suppress(FileNotFoundError):
                    os.unlink(file, dir_fd=below._at)
            os.rmdir(name, dir_fd=self._at)


def _temporary(name: str) -> str:
    return f".{name[:100]}.{secrets.token_hex(8)}"


def _make(name: str, at: int) -> None:
    os.mkdir(name, _FOLDER_MODE, dir_fd=at)
    os.chmod(name, _FOLDER_MODE, dir_fd=at)


def _write(name: str, data: bytes, at: int) -> None:
    with os.fdopen(os.open(name, _NEW, _FILE_MODE, dir_fd=at), "wb") as file:
        os.fchmod(file.fileno(), _FILE_MODE)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _only(name: str) -> Iterator[None]:
    """What is no folder or file of ours counts as not there: a link, a file where a folder is
    looked for, and what another host removed while we read it (NFS)."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ESTALE):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
        raise Unavailable(
            f"{name}, among the job descriptions, cannot be read: {error.strerror}; let the user"
            " OPUS runs as read it"
        ) from error


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("no space is left for job descriptions; try again later") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            raise Unavailable(
                f"job descriptions cannot be written here: {error.strerror}; do it as the user OPUS"
                " runs as"
            ) from error
        raise
