"""What is created at once in PostgreSQL is what the migrations lead to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opus_storage_sqlite import schema as migrations

COLUMNS = """
    SELECT table_name, ordinal_position, column_name, data_type, character_maximum_length,
           is_nullable, column_default, collation_name
    FROM information_schema.columns WHERE table_schema = %s
"""
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = %s"
CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = %s::regnamespace
"""
SEQUENCES = "SELECT sequencename, data_type, increment_by FROM pg_sequences WHERE schemaname = %s"


def catalogue(admin, schema: str) -> Iterator[tuple[str, ...]]:
    """All that PostgreSQL knows of a schema, without its name."""
    for query in (COLUMNS, INDEXES, CONSTRAINTS, SEQUENCES):
        for row in admin.execute(query, (schema,)):
            yield tuple(str(one).replace(f"{schema}.", "") for one in row)


@pytest.fixture
def created(admin, schema, storage):
    """What there is in a new database; nothing of it is left."""
    found = set(catalogue(admin, schema))
    storage.close()
    admin.execute(f"DROP SCHEMA {schema} CASCADE")
    admin.execute(f"CREATE SCHEMA {schema}")
    return found


def test_what_is_created_is_what_the_migrations_lead_to(admin, schema, make, created):
    storage = make()
    with storage._database.writing() as connection:
        migrations.migrate(connection)
    assert set(catalogue(admin, schema)) == created
    assert len(created) > 100
    assert storage.unprepared() == ""
    storage.close()


def test_a_schema_that_was_begun_by_an_older_release_is_migrated(admin, schema, make, created):
    admin.execute(f"CREATE TABLE {schema}.{migrations.VERSION_TABLE} (version_num varchar(32))")
    admin.execute(
        f"ALTER TABLE {schema}.{migrations.VERSION_TABLE} ADD CONSTRAINT"
        f" {migrations.VERSION_TABLE}_pkc PRIMARY KEY (version_num)"
    )
    storage = make()
    storage.prepare()
    storage.close()
    assert set(catalogue(admin, schema)) == created
