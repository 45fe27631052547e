from __future__ import annotations

from closure import TOOLS, closure, installed

# With a storage, a manager and a format, so that a whole server runs.
SERVER = ("opus-storage-sqlite", "opus-manager-local", "opus-jdl-wadl")


def test_what_is_installed_is_what_is_declared():
    assert installed() == closure("opus-metrics", "opus-core[testing]", *SERVER, "pyyaml", *TOOLS)
