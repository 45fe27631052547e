from __future__ import annotations

from closure import TOOLS, closure, installed


def test_what_is_installed_is_what_is_declared():
    assert installed() == closure("opus-core[testing]", *TOOLS)


def test_the_core_needs_no_database_library():
    assert installed().isdisjoint({"sqlalchemy", "alembic"})
