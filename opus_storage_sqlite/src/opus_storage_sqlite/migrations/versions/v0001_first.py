"""The first schema."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# By code point, whatever the locale of a database is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def where(condition: str) -> dict[str, Any]:
    """The rows that an index has."""
    return {
        "sqlite_where": sa.text(condition),
        "postgresql_where": sa.text(condition.replace("doomed IS 0", "doomed IS false")),
    }


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("roles", TEXT, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("password", TEXT, nullable=True),
        sa.Column("full_name", TEXT, nullable=False),
        sa.Column("email", TEXT, nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_accounts")),
    )
    op.create_table(
        "components",
        sa.Column("component", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("sentence", TEXT, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("component", name=op.f("pk_components")),
    )
    op.create_table(
        "horizon",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_horizon")),
    )
    op.create_table(
        "idempotency",
        sa.Column("quota_key", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("quota_key", "key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_time"), "idempotency", ["time"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("definition", TEXT, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("owner", TEXT, nullable=True),
        sa.Column("run_id", TEXT, nullable=True),
        sa.Column("phase", TEXT, nullable=False),
        sa.Column("work", TEXT, nullable=False),
        sa.Column("doomed", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=True),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("destruction", sa.BigInteger(), nullable=True),
        sa.Column("due", sa.BigInteger(), nullable=True),
        sa.Column("submitted_at", sa.BigInteger(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("quota_key", TEXT, nullable=False),
        sa.Column("idempotency_key", TEXT, nullable=True),
        sa.Column("idempotency_body", TEXT, nullable=True),
        sa.Column("tag", TEXT, nullable=True),
        sa.Column("native_ids", TEXT, nullable=False),
        sa.Column("search", TEXT, nullable=True),
        sa.Column("job_info", TEXT, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(
        op.f("ix_jobs_definition_phase_created_id"),
        "jobs",
        ["definition", "phase", "created", "id"],
        unique=False,
        **where("doomed IS 0"),
    )
    op.create_index(
        "ix_jobs_destruction",
        "jobs",
        ["destruction"],
        unique=False,
        **where("destruction IS NOT NULL AND doomed IS 0 AND phase != 'ARCHIVED'"),
    )
    op.create_index("ix_jobs_due", "jobs", ["due", "id"], unique=False, **where("due IS NOT NULL"))
    op.create_index(
        op.f("ix_jobs_ended_created_id"),
        "jobs",
        ["ended", "created", "id"],
        unique=False,
        **where("doomed IS 0"),
    )
    op.create_index("ix_jobs_live", "jobs", ["id"], unique=False, **where("work = 'LIVE'"))
    op.create_index(
        op.f("ix_jobs_owner_definition_phase_created_id"),
        "jobs",
        ["owner", "definition", "phase", "created", "id"],
        unique=False,
        **where("doomed IS 0"),
    )
    op.create_index(
        op.f("ix_jobs_owner_phase_created_id"),
        "jobs",
        ["owner", "phase", "created", "id"],
        unique=False,
        **where("doomed IS 0"),
    )
    op.create_index(
        op.f("ix_jobs_phase_created_id"),
        "jobs",
        ["phase", "created", "id"],
        unique=False,
        **where("doomed IS 0"),
    )
    op.create_table(
        "journal",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("definition", TEXT, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("owner", TEXT, nullable=True),
        sa.Column("run_id", TEXT, nullable=True),
        sa.Column("old", TEXT, nullable=True),
        sa.Column("new", TEXT, nullable=True),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("quota_key", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_journal")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_journal_owner_seq"), "journal", ["owner", "seq"], unique=False)
    op.create_index(
        op.f("ix_journal_quota_key_time"),
        "journal",
        ["quota_key", "time"],
        unique=False,
        **where("quota_key IS NOT NULL"),
    )
    op.create_table(
        "leases",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("holder", TEXT, nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "records",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=True),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("data", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_records")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_records_stream_key"),
        "records",
        ["stream", "key"],
        unique=True,
        **where('"key" IS NOT NULL'),
    )
    op.create_index(op.f("ix_records_stream_seq"), "records", ["stream", "seq"], unique=False)
    op.create_table(
        "usage",
        sa.Column("quota_key", TEXT, nullable=False),
        sa.Column("active", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("quota_key", name=op.f("pk_usage")),
    )
    op.create_table(
        "natives",
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("native_id", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_natives_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "native_id", name=op.f("pk_natives")),
    )
    op.create_index(op.f("ix_natives_native_id"), "natives", ["native_id"], unique=False)
    op.create_table(
        "pokes",
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("what", TEXT, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_pokes_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "what", name=op.f("pk_pokes")),
    )
    op.create_index(op.f("ix_pokes_since"), "pokes", ["since"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("user", TEXT, nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("data", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["user"], ["accounts.name"], name=op.f("fk_sessions_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_last_seen"), "sessions", ["last_seen"], unique=False)
    op.create_index(op.f("ix_sessions_user"), "sessions", ["user"], unique=False)
    op.create_table(
        "tokens",
        sa.Column("prefix", TEXT, nullable=False),
        sa.Column("user", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("scopes", TEXT, nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("last_used", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user"], ["accounts.name"], name=op.f("fk_tokens_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_tokens")),
    )
    op.create_index(op.f("ix_tokens_expires"), "tokens", ["expires"], unique=False)
    op.create_index(
        op.f("ix_tokens_user_created_prefix"), "tokens", ["user", "created", "prefix"], unique=False
    )


def downgrade() -> None:
    for table in (
        "tokens",
        "sessions",
        "pokes",
        "natives",
        "usage",
        "records",
        "leases",
        "journal",
        "jobs",
        "idempotency",
        "horizon",
        "components",
        "accounts",
    ):
        op.drop_table(table)
