"""The tables: jobs and what hangs on them, the journal, leases, streams, accounts.

Instants are whole microseconds since 1970 UTC; texts compare by code point; JSON is text that the
database never looks into. What is filtered or sorted by has a column, the rest of a job is one
document. Nothing here is special to SQLite but the words `sqlite_*`, so that another SQL storage
can be made from the same tables, queries and migrations.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
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

# SQLite counts up by itself only in a column declared INTEGER.
_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")

# Long texts stand last: a row is read up to the last column that was asked for.
jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("definition", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("owner", Text),
    Column("run_id", Text),
    Column("phase", Text, nullable=False),
    Column("work", Text, nullable=False),
    Column("doomed", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("started", BigInteger),
    Column("ended", BigInteger),
    Column("destruction", BigInteger),
    Column("due", BigInteger),
    Column("submitted_at", BigInteger),
    Column("bytes", BigInteger, nullable=False),
    Column("quota_key", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("idempotency_body", Text),
    Column("tag", Text),
    Column("native_ids", Text, nullable=False),  # JSON: a list
    Column("search", Text),  # run_id without regard to case
    Column("job_info", Text, nullable=False),  # JSON: an object; outside the version
    Column("document", Text, nullable=False),  # JSON: see document.py
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
    Index(None, *_columns, jobs.c.created, jobs.c.id, sqlite_where=_shown)
Index(None, jobs.c.ended, jobs.c.created, jobs.c.id, sqlite_where=_shown)
# The planner takes a partial index only where it sees the same words in the query, so constants
# are written out in both (`LIVE`, `UNARCHIVED`) and never bound.
LIVE: Final = jobs.c.work == literal_column("'LIVE'")
UNARCHIVED: Final = jobs.c.phase != literal_column("'ARCHIVED'")
Index("ix_jobs_due", jobs.c.due, jobs.c.id, sqlite_where=jobs.c.due.is_not(None))
Index("ix_jobs_live", jobs.c.id, sqlite_where=LIVE)
Index(
    "ix_jobs_destruction",
    jobs.c.destruction,
    sqlite_where=and_(jobs.c.destruction.is_not(None), _shown, UNARCHIVED),
)

natives: Final = Table(
    "natives",
    metadata,
    Column("job_id", ForeignKey(jobs.c.id, ondelete="CASCADE"), primary_key=True),
    Column("native_id", Text, primary_key=True),
    Index(None, "native_id"),
)

pokes: Final = Table(
    "pokes",
    metadata,
    Column("job_id", ForeignKey(jobs.c.id, ondelete="CASCADE"), primary_key=True),
    Column("what", Text, primary_key=True),
    Column("since", BigInteger, nullable=False),
    Index(None, "since"),
)

journal: Final = Table(
    "journal",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    Column("job_id", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("owner", Text),
    Column("run_id", Text),
    Column("old", Text),
    Column("new", Text),
    Column("time", BigInteger, nullable=False),
    Column("quota_key", Text),  # of creations only: the hour's are counted here
    Index(None, "owner", "seq"),
    sqlite_autoincrement=True,
)
Index(
    None,
    journal.c.quota_key,
    journal.c.time,
    sqlite_where=journal.c.quota_key.is_not(None),
)

horizon: Final = Table(
    "horizon",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),  # up to here entries may have been removed
)

usage: Final = Table(
    "usage",
    metadata,
    Column("quota_key", Text, primary_key=True),
    Column("active", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

idempotency: Final = Table(
    "idempotency",
    metadata,
    Column("quota_key", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Index(None, "time"),
)

leases: Final = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text),  # None: given up
    Column("epoch", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
)

components: Final = Table(
    "components",
    metadata,
    Column("component", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("heartbeat", BigInteger, nullable=False),
)

records: Final = Table(
    "records",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    Column("stream", Text, nullable=False),
    Column("key", Text),
    Column("time", BigInteger, nullable=False),
    Column("data", Text, nullable=False),  # JSON: an object
    Index(None, "stream", "seq"),
    sqlite_autoincrement=True,
)
Index(
    None,
    records.c.stream,
    records.c.key,
    unique=True,
    sqlite_where=records.c.key.is_not(None),
)

accounts: Final = Table(
    "accounts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("roles", Text, nullable=False),  # JSON: a list
    Column("active", Boolean, nullable=False),
    Column("password", Text),
    Column("full_name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)

tokens: Final = Table(
    "tokens",
    metadata,
    Column("prefix", Text, primary_key=True),
    Column("user", ForeignKey(accounts.c.name, ondelete="CASCADE"), nullable=False),
    Column("hash", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # JSON: a list
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("last_used", BigInteger),
    Index(None, "user", "created", "prefix"),
    Index(None, "expires"),
)

sessions: Final = Table(
    "sessions",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("user", ForeignKey(accounts.c.name, ondelete="CASCADE"), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("data", Text, nullable=False),  # JSON: an object
    Index(None, "user"),
    Index(None, "last_seen"),
)
