"""What PostgreSQL complains of, in the words of the core."""

from __future__ import annotations

from typing import Final

import psycopg
from sqlalchemy import exc

from opus_core.errors import BadRequest, OpusError, StorageFull, TooLarge, Unavailable

_RETRY_AFTER: Final = 2.0  # [s] a database that is started again answers soon
_BUSY_AGAIN: Final = 1.0  # [s]

# By the first two characters of the SQLSTATE, and by all five where its class has others
# (PostgreSQL manual, appendix A).
_AWAY: Final = frozenset({"08", "57", "58", "XX", "F0"})  # connection, operator, system, internal
_FULL: Final = frozenset({"53100", "53200"})  # disk, memory
_TOO_MANY: Final = "53300"  # connections
_BUSY: Final = frozenset({"55P03", "57014", "40001", "40P01"})  # locked, cancelled, serialised
_LIMIT: Final = "54000"
_IDLED: Final = "25P03"  # it stopped in the middle, and others were let past
_READ_ONLY: Final = "25006"  # a standby
_NO_TABLE: Final = frozenset({"42P01", "3F000", "42703"})
_NOT_ALLOWED: Final = frozenset({"42501", "28000", "28P01", "3D000"})


class errors_in_our_words:
    """Let what the driver raises inside the block leave it as an error of the core. `where`: the
    database, without any secret."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UnicodeEncodeError):
            raise _not_unicode(error) from error
        ours = _translated(error, self._where)
        if ours is not None:
            raise ours from error


def _translated(error: BaseException | None, where: str) -> OpusError | None:
    """The error to raise instead; None for a mistake of ours, which stays what it is."""
    if isinstance(error, exc.TimeoutError):
        return busy(where)
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(cause, psycopg.DataError) and "NUL" in str(cause):
        return BadRequest("the text has U+0000 in it, which this storage cannot keep; leave it out")
    if not isinstance(cause, psycopg.Error):
        return None
    state = cause.sqlstate or ""
    if state in _BUSY:
        return busy(where)
    if state in _FULL:
        return StorageFull(f"no space is left for {where}; make room and try again")
    if state == _TOO_MANY:
        return Unavailable(f"{where} has no connection left; try again", retry_after=_RETRY_AFTER)
    if state == _LIMIT:
        return TooLarge("the job is larger than a row of the storage can be")
    if state == _READ_ONLY or state in _NO_TABLE or state in _NOT_ALLOWED:
        return _unusable(where, cause)
    gone = isinstance(cause, (psycopg.OperationalError, psycopg.InterfaceError))
    if state[:2] in _AWAY or state == _IDLED or (gone and not state):
        return Unavailable(
            f"{where} cannot be reached: {_first_line(cause)}; try again", retry_after=_RETRY_AFTER
        )
    return None


def busy(where: str) -> OpusError:
    """Others have kept the storage busy for longer than the timeout."""
    return Unavailable(f"{where} is busy; try again in a moment", retry_after=_BUSY_AGAIN)


def _unusable(where: str, cause: psycopg.Error) -> OpusError:
    return Unavailable(f"{where} cannot be used: {_first_line(cause)}; see `opus check`")


def _first_line(cause: psycopg.Error) -> str:
    line = str(cause).strip().partition("\n")[0]
    # "connection to server at ..., port ... failed: " says again where it is.
    return line.rpartition(" failed: ")[2].strip() or type(cause).__name__


def _not_unicode(error: UnicodeEncodeError) -> OpusError:
    return BadRequest(
        f"the text has U+{ord(error.object[error.start]):04X} in it, half of a character, which"
        " cannot be stored; send whole characters in UTF-8"
    )
