from __future__ import annotations

from closure import TOOLS, closure, installed

# What a whole server needs, which some tests start.
SERVER = ("opus-storage-sqlite", "opus-manager-local", "opus-jdl-wadl")


def test_what_is_installed_is_what_is_declared():
    assert installed() == closure("opus-notify", "opus-core[testing]", *SERVER, *TOOLS)


def test_the_distribution_needs_nothing_but_the_core():
    assert closure("opus-notify") == closure("opus-core") | {"opus-notify"}
