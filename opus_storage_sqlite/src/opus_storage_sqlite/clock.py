"""The storage's clock, as an expression inside a statement.

Whatever a transaction compares with now (due, lapsed, expired, an hour ago) is compared inside the
database, so that the statement means the same on a database that lives on another host. SQLite
reads the clock of this machine, as Python would, once for each statement and in milliseconds; and
the statement runs after `BEGIN IMMEDIATE` has waited for its turn, so a slow lock ages nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

SECOND: Final = 1_000_000  # [µs]
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class clock(FunctionElement[int]):
    """Now, in microseconds since 1970 UTC, of which only whole milliseconds are told."""

    type = BigInteger()
    inherit_cache = True


@compiles(clock, "sqlite")
def _sqlite_clock(element: clock, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401
    # SQLite keeps whole milliseconds; a Julian day as a double is good to 0.04 ms: round it.
    return "(CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000)"


@compiles(clock, "postgresql")
def _postgresql_clock(element: clock, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401
    # Of the statement, not of the transaction, which may have waited for its turn.
    return "(CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT) * 1000)"


def micros(instant: datetime) -> int:
    """Microseconds since 1970 of an aware instant, exactly."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(micros: int) -> datetime:
    """The instant in UTC, exactly."""
    return _EPOCH + timedelta(microseconds=micros)


def micros_or_none(instant: datetime | None) -> int | None:
    """`micros` where there may be no instant."""
    return None if instant is None else micros(instant)


def instant_or_none(value: int | None) -> datetime | None:
    """`instant` where there may be none."""
    return None if value is None else instant(value)
