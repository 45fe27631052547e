"""The tables: jobs and what hangs on them, the journal, leases, streams, accounts.

Instants are whole microseconds since 1970 UTC; texts compare by code point; JSON is text that the
database never looks into. What is filtered or sorted by has a column, the rest of a job is one
document. Nothing here is special to one database but words that say so (`sqlite_*`): all SQL
storages are made from the same tables, queries and migrations.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    false,
    literal_column,
)

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# By code point, as SQLite does it, whatever the locale of a database is.
_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite counts up by itself only in a column declared INTEGER.
_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")


def _where(condition: ColumnElement[bool]) -> dict[str, Any]:
    """The rows that an index has; see `translate`."""
    return {"sqlite_where": condition}


def translate(dialect: str) -> None:
    """Say it in the words of another database, too, before the tables are made there: who writes
    down those of PostgreSQL loads all of its dialect, a tenth of what a server loads."""
    for table in metadata.tables.values():
        for index in table.indexes:
            index.dialect_options[dialect]["where"] = index.dialect_options["sqlite"]["where"]


# Long texts stand last: a row is read up to the last column that was asked for.
jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", _TEXT, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("definition", _TEXT, nullable=False),
    Column("number", Integer, nullable=False),
    Column("owner", _TEXT),
    Column("run_id", _TEXT),
    Column("phase", _TEXT, nullable=False),
    Column("work", _TEXT, nullable=False),
    Column("doomed", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("started", BigInteger),
    Column("ended", BigInteger),
    Column("destruction", BigInteger),
    Column("due", BigInteger),
    Column("submitted_at", BigInteger),
    Column("bytes", BigInteger, nullable=False),
    Column("quota_key", _TEXT, nullable=False),
    Column("idempotency_key", _TEXT),
    Column("idempotency_body", _TEXT),
    Column("tag", _TEXT),
    Column("native_ids", _TEXT, nullable=False),  # JSON: a list
    Column("search", _TEXT),  # run_id without regard to case
    Column("job_info", _TEXT, nullable=False),  # JSON: an object; outside the version
    Column("document", _TEXT, nullable=False),  # JSON: see document.py
)

# One for each pair of filters that a list may have. A list over several phases merges as many
# ranges of one index, each in order (lists.py); hence no index without the phase.
_shown = jobs.c.doomed.is_(false())
for _columns in (
    (jobs.c.phase,),
    (jobs.c.definition, jobs.c.phase),
    (jobs.c.owner, jobs.c.phase),
    (jobs.c.owner, jobs.c.definition, jobs.c.phase),
):
    Index(None, *_columns, jobs.c.created, jobs.c.id, **_where(_shown))
Index(None, jobs.c.ended, jobs.c.created, jobs.c.id, **_where(_shown))
# The planner takes a partial index only where it sees the same words in the query, so constants
# are written out in both (`LIVE`, `UNARCHIVED`) and never bound.
LIVE: Final = jobs.c.work == literal_column("'LIVE'")
UNARCHIVED: Final = jobs.c.phase != literal_column("'ARCHIVED'")
Index("ix_jobs_due", jobs.c.due, jobs.c.id, **_where(jobs.c.due.is_not(None)))
Index("ix_jobs_live", jobs.c.id, **_where(LIVE))
Index(
    "ix_jobs_destruction",
    jobs.c.destruction,
    **_where(and_(jobs.c.destruction.is_not(None), _shown, UNARCHIVED)),
)

natives: Final = Table(
    "natives",
    metadata,
    Column("job_id", ForeignKey(jobs.c.id, ondelete="CASCADE"), primary_key=True),
    Column("native_id", _TEXT, primary_key=True),
    Index(None, "native_id"),
)

pokes: Final = Table(
    "pokes",
    metadata,
    Column("job_id", ForeignKey(jobs.c.id, ondelete="CASCADE"), primary_key=True),
    Column("what", _TEXT, primary_key=True),
    Column("since", BigInteger, nullable=False),
    Index(None, "since"),
)

journal: Final = Table(
    "journal",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    Column("job_id", _TEXT, nullable=False),
    Column("definition", _TEXT, nullable=False),
    Column("number", Integer, nullable=False),
    Column("owner", _TEXT),
    Column("run_id", _TEXT),
    Column("old", _TEXT),
    Column("new", _TEXT),
    Column("time", BigInteger, nullable=False),
    Column("quota_key", _TEXT),  # of creations only: the hour's are counted here
    Index(None, "owner", "seq"),
    sqlite_autoincrement=True,
)
Index(
    None,
    journal.c.quota_key,
    journal.c.time,
    **_where(journal.c.quota_key.is_not(None)),
)

horizon: Final = Table(
    "horizon",
    metadata,
    Column("name", _TEXT, primary_key=True),
    Column("seq", BigInteger, nullable=False),  # up to here entries may have been removed
)

usage: Final = Table(
    "usage",
    metadata,
    Column("quota_key", _TEXT, primary_key=True),
    Column("active", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

idempotency: Final = Table(
    "idempotency",
    metadata,
    Column("quota_key", _TEXT, primary_key=True),
    Column("key", _TEXT, primary_key=True),
    Column("body", _TEXT, nullable=False),
    Column("job_id", _TEXT, nullable=False),
    Column("time", BigInteger, nullable=False),
    Index(None, "time"),
)

leases: Final = Table(
    "leases",
    metadata,
    Column("name", _TEXT, primary_key=True),
    Column("holder", _TEXT),  # None: given up
    Column("epoch", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
)

components: Final = Table(
    "components",
    metadata,
    Column("component", _TEXT, primary_key=True),
    Column("state", _TEXT, nullable=False),
    Column("sentence", _TEXT, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("heartbeat", BigInteger, nullable=False),
)

records: Final = Table(
    "records",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    Column("stream", _TEXT, nullable=False),
    Column("key", _TEXT),
    Column("time", BigInteger, nullable=False),
    Column("data", _TEXT, nullable=False),  # JSON: an object
    Index(None, "stream", "seq"),
    sqlite_autoincrement=True,
)
Index(
    None,
    records.c.stream,
    records.c.key,
    unique=True,
    **_where(records.c.key.is_not(None)),
)

accounts: Final = Table(
    "accounts",
    metadata,
    Column("name", _TEXT, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("roles", _TEXT, nullable=False),  # JSON: a list
    Column("active", Boolean, nullable=False),
    Column("password", _TEXT),
    Column("full_name", _TEXT, nullable=False),
    Column("email", _TEXT, nullable=False),
    Column("created", BigInteger, nullable=False),
)

tokens: Final = Table(
    "tokens",
    metadata,
    Column("prefix", _TEXT, primary_key=True),
    Column("user", ForeignKey(accounts.c.name, ondelete="CASCADE"), nullable=False),
    Column("hash", _TEXT, nullable=False),
    Column("name", _TEXT, nullable=False),
    Column("scopes", _TEXT, nullable=False),  # JSON: a list
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("last_used", BigInteger),
    Index(None, "user", "created", "prefix"),
    Index(None, "expires"),
)

sessions: Final = Table(
    "sessions",
    metadata,
    Column("hash", _TEXT, primary_key=True),
    Column("user", ForeignKey(accounts.c.name, ondelete="CASCADE"), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("data", _TEXT, nullable=False),  # JSON: an object
    Index(None, "user"),
    Index(None, "last_seen"),
)
