"""What SQLite complains of, in the words of the core."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy import exc

from opus_core.errors import BadRequest, OpusError, StorageFull, TooLarge, Unavailable

_RETRY_AFTER: Final = 1.0  # [s] a lock that outlasts the timeout is seldom held much longer
_FULL: Final = 1 << 20  # [byte] a disk with less than this free is full


class errors_in_our_words:
    """Let what SQLite raises inside the block leave it as an error of the core."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UnicodeEncodeError):
            raise _not_unicode(error) from error
        ours = _translated(error, self._path)
        if ours is not None:
            raise ours from error


def _translated(error: BaseException | None, path: Path) -> OpusError | None:
    """The error to raise instead; None for a mistake of ours, which stays what it is.

    Codes: https://www.sqlite.org/rescode.html, of which the low byte is the family.
    """
    if isinstance(error, exc.TimeoutError):
        return locked(path)
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    if not isinstance(cause, sqlite3.DatabaseError):
        return None
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return locked(path)
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _no_space(path)):
        return StorageFull(f"no space is left for {path}; make room and try again")
    if code == sqlite3.SQLITE_TOOBIG:
        return TooLarge("the job is larger than a row of the storage can be")
    if code in _BROKEN or (code == sqlite3.SQLITE_ERROR and "no such table" in str(cause)):
        return _unusable(path, cause)
    return None


_BROKEN: Final = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


def locked(path: Path) -> OpusError:
    """Others have kept the storage busy for longer than the timeout."""
    return Unavailable(
        f"the storage {path.name} is busy; try again in a moment", retry_after=_RETRY_AFTER
    )


def _unusable(path: Path, cause: sqlite3.DatabaseError) -> OpusError:
    if not path.exists():
        return Unavailable(f"the storage {path} is missing; restore it, or let `opus init` make it")
    return Unavailable(f"the storage {path} cannot be used: {cause}; see `opus check`")


def _not_unicode(error: UnicodeEncodeError) -> OpusError:
    return BadRequest(
        f"the text has U+{ord(error.object[error.start]):04X} in it, half of a character, which"
        " cannot be stored; send whole characters in UTF-8"
    )


def _no_space(path: Path) -> bool:
    try:
        free = os.statvfs(path.parent)
    except OSError:
        return False
    return free.f_bavail * free.f_frsize < _FULL
