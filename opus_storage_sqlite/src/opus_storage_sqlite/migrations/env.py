"""How alembic runs the migrations: on a connection it is given, inside that one's transaction."""

from __future__ import annotations

from alembic import context

from opus_storage_sqlite.schema import VERSION_TABLE
from opus_storage_sqlite.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # SQLite alters a table by making it anew
    render_as_batch=context.config.attributes["connection"].dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
