"""What this plugin offers: jobs in one SQLite file."""

from __future__ import annotations

from opus_core import hookimpl
from opus_storage_sqlite.storage import SQLiteStorage


@hookimpl
def opus_register_storage() -> type[SQLiteStorage]:
    """Offer the storage that `use = "sqlite"` selects."""
    return SQLiteStorage
