"""The schema's migrations, run by alembic through `opus_storage_sqlite.schema`."""
