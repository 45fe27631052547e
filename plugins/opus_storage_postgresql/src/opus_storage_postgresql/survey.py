"""What `opus check` asks a database: whether it is durable, and has connections for all of us."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from opus_core.finding import Code, Finding, State

if TYPE_CHECKING:
    from opus_storage_postgresql.engine import PostgreSQLDatabase

_PROCESSES: Final = 2  # a web server and a supervisor, at least

NOT_DURABLE: Final = Code(
    "postgresql-not-durable",
    State.ERROR,
    "The database is set up to lose, or to damage, what it has said to have stored if power fails:"
    " jobs would run twice, or never.",
    "`fsync = on` and `full_page_writes = on` in postgresql.conf.",
)
CONNECTIONS: Final = Code(
    "postgresql-connections",
    State.WARNING,
    "The database lets in fewer connections than one web server and one supervisor may open.",
    "Raise `max_connections`, or the user's own limit, or lower `[storage] connections`.",
)
CODES: Final = (NOT_DURABLE, CONNECTIONS)

_SUBJECT: Final = "postgresql"
_ASK: Final = """
    SELECT current_setting('max_connections')::int
         - current_setting('superuser_reserved_connections')::int,
           (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),
           (SELECT datconnlimit FROM pg_database WHERE datname = current_database())
"""


def findings(database: PostgreSQLDatabase) -> Iterator[Finding]:
    """By settings alone, which everybody may read."""
    with database.reading() as connection:
        off = [
            name
            for name in ("fsync", "full_page_writes")
            if connection.exec_driver_sql(f"SHOW {name}").scalar_one() != "on"
        ]
        limits = connection.exec_driver_sql(_ASK).one()
    if off:
        yield NOT_DURABLE(
            _SUBJECT,
            f"{' and '.join(off)} is off in {database.where}, which loses what it has stored when"
            " power fails; set it to on in postgresql.conf",
        )
    fewest = min(limit for limit in limits if limit >= 0)  # -1: no limit of its own
    # One more of each process is told of changes.
    wanted = _PROCESSES * (database.options.connections + 1)
    if fewest < wanted:
        yield CONNECTIONS(
            _SUBJECT,
            f"{database.where} lets in {fewest} connections, and a web server and a supervisor may"
            f" open {wanted}; raise max_connections, or the limit of the user or the database, or"
            " lower [storage] connections",
        )
