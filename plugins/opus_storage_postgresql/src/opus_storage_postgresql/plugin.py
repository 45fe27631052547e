"""What this plugin offers: jobs in a PostgreSQL database."""

from __future__ import annotations

from opus_core import hookimpl
from opus_storage_postgresql.storage import PostgreSQLStorage


@hookimpl
def opus_register_storage() -> type[PostgreSQLStorage]:
    """Offer the storage that `use = "postgresql"` selects."""
    return PostgreSQLStorage
