"""The folder that `opus init` makes a site in.

What was in it before stays as it is, and nobody else's: no file is written over, no link followed,
nothing given away. A site that cannot be made whole leaves nothing that keeps the same command from
making it later.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from opus_core import disk
from opus_core.errors import BadRequest
from opus_core.process import system_name

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CLOSED: Final = 0o2700  # while it is filled for another user
_OF_THE_SYSTEM: Final = frozenset({"lost+found"})  # in the root of a file system


class Ground:
    """The folder, made if it is not there; used as a context, with an error nothing of it stays.

    `owner` is the user whom root makes it for: nobody but root comes to it until it is whole, and
    then all is the owner's that was made.

    Raises `BadRequest` where it cannot be a folder, has one of `names` in it, or is not empty and
    for another user.
    """

    def __init__(self, path: Path, names: Iterable[str], owner: pwd.struct_passwd | None) -> None:
        self.path = path
        self._names = tuple(names)
        self._owner = owner if owner is not None and owner.pw_uid != os.geteuid() else None
        self._written: list[Path] = []

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._made = self._make()
            self._folder = os.open(self.path, _FOLDER | self._nofollow())
        except OSError as error:
            raise BadRequest(f"{self.path} cannot be a folder: {error.strerror}") from error
        try:
            self._before = os.fstat(self._folder)
            self._refuse()
            if self._owner is not None:
                self._shut(self._owner)
            elif self._made or self._before.st_uid == os.geteuid():
                # What is made in it belongs to its group, even by a supervisor that is root.
                # (Another's folder has the mode that its owner wants.)
                os.fchmod(self._folder, stat.S_IMODE(self._before.st_mode) | stat.S_ISGID)
        except BaseException:
            os.close(self._folder)
            raise
        return self

    def write(self, name: str, text: str) -> Path:
        """A new file, in a folder of ours if `name` has one in it."""
        path = self.path / name
        try:
            if path.parent != self.path and path.parent not in self._written:
                path.parent.mkdir()
                self._written.append(path.parent)
            self._written.append(path)  # or half of it, on a disk that is full
            disk.make_file(path, text.encode())
        except FileExistsError:
            self._written = [one for one in self._written if one != path]
            raise _there(path) from None
        return path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                self._leave()
            elif self._owner is not None:
                self._give(self._owner)
        finally:
            os.close(self._folder)

    def _make(self) -> bool:
        try:
            self.path.mkdir()
        except FileExistsError:
            if self.path.is_dir():
                return False
            raise
        self.path.chmod(disk.FOLDER_MODE)
        return True

    def _nofollow(self) -> int:
        """Root gives away no folder to which somebody's link leads."""
        if self._owner is None:
            return 0
        if self.path.is_symlink():
            raise BadRequest(f"{self.path} is a link to {self.path.readlink()}; name that folder")
        return os.O_NOFOLLOW

    def _refuse(self) -> None:
        """Before anything is written or changed."""
        for name in self._names:
            if os.path.lexists(self.path / name):
                raise _there(self.path / name)
        if self._owner is not None:
            self._refuse_others(self._owner)
        elif os.geteuid() == 0 != self._before.st_uid:
            whose = system_name(self._before.st_uid)
            raise BadRequest(
                f"{self.path} belongs to {whose}, who could have root write anywhere by a link in"
                f" it; say `--user {whose}`, or type this as {whose}"
            )

    def _refuse_others(self, owner: pwd.struct_passwd) -> None:
        if others := sorted(set(os.listdir(self._folder)) - _OF_THE_SYSTEM):
            raise BadRequest(
                f"{self.path} has {others[0]} in it already, and `--user` fills an empty folder"
                f" alone, since all in it will be {owner.pw_name}'s; move it away, or choose"
                " another folder"
            )

    def _shut(self, owner: pwd.struct_passwd) -> None:
        """Let nobody else come to it, nor have come before this looks again."""
        os.fchown(self._folder, os.geteuid(), -1)
        os.fchmod(self._folder, _CLOSED)
        try:
            self._refuse_others(owner)
        except BadRequest:
            self._restore()
            raise

    def _give(self, owner: pwd.struct_passwd) -> None:
        # From the folder that is open: its name might lead elsewhere by now.
        for _, folders, files, at in os.fwalk(".", dir_fd=self._folder):
            folders[:] = [name for name in folders if name not in _OF_THE_SYSTEM]
            for name in (*folders, *files):
                os.chown(name, owner.pw_uid, owner.pw_gid, dir_fd=at, follow_symlinks=False)
        os.fchown(self._folder, owner.pw_uid, owner.pw_gid)
        os.fchmod(self._folder, stat.S_IMODE(self._before.st_mode) | stat.S_ISGID)

    def _leave(self) -> None:
        """Remove what was made; but from a folder that others may write to, too, no more than the
        files: what the storage has there already is found by the next try."""
        if self._made:
            disk.remove_tree(self.path)
        elif self._owner is not None:
            for name in set(os.listdir(self._folder)) - _OF_THE_SYSTEM:
                disk.remove_tree(Path(f"/proc/self/fd/{self._folder}", name))
            self._restore()
        else:
            for path in reversed(self._written):
                with suppress(OSError):  # others have made something of it, and may keep it
                    path.rmdir() if path.is_dir() else path.unlink()

    def _restore(self) -> None:
        os.fchown(self._folder, self._before.st_uid, self._before.st_gid)
        os.fchmod(self._folder, stat.S_IMODE(self._before.st_mode))


def _there(path: Path) -> BadRequest:
    way_out = "edit it" if path.name == "opus.toml" else "move it away, for it is not written over"
    return BadRequest(f"{path} is there already; {way_out}, or choose another folder")
