"""Whether a folder is the one that was written down: after reboots, on other hosts, as a copy."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from opus_core.place import Place

HERE = Place("one", "/srv/opus", "this-boot", 8, 2)
"""The root of a file system: any other has the same inode."""


@pytest.mark.parametrize(
    ("other", "is_surely", "may_be"),
    [
        ({}, True, True),
        ({"path": "/mnt/opus"}, True, True),
        ({"inode": 3}, False, False),
        # Another file system, at whatever path.
        ({"device": 9}, False, False),
        ({"device": 9, "path": "/srv/copy"}, False, False),
        # After a reboot.
        ({"boot": "before"}, True, True),
        ({"boot": "before", "device": 9}, True, True),
        ({"boot": "before", "inode": 3}, False, False),
        # A copy beside it, and an original whose device the copy has now.
        ({"boot": "before", "device": 9, "path": "/srv/copy"}, False, True),
        ({"boot": "before", "path": "/srv/copy"}, False, True),
        # Another host, which may have the same folder by its network.
        ({"host": "two"}, False, True),
        ({"host": "two", "device": 9}, False, True),
        ({"host": "two", "boot": "before"}, False, True),
        ({"host": "two", "inode": 3}, False, False),
        # Written by older releases.
        ({"path": "", "boot": ""}, True, True),
        ({"path": "", "boot": "", "device": 9}, False, True),
        ({"path": "", "boot": "", "inode": 3}, False, False),
        ({"path": "", "boot": "before", "device": 9}, False, True),
    ],
)
def test_what_was_written_down_elsewhere_or_before(other, is_surely, may_be):
    there = replace(HERE, **other)

    assert (HERE.is_surely(there), there.is_surely(HERE)) == (is_surely, is_surely)
    assert (HERE.may_be(there), there.may_be(HERE)) == (may_be, may_be)


def test_where_no_boot_is_known_the_device_has_to_be_the_same():
    here = replace(HERE, boot="")

    assert here.is_surely(here)
    assert not here.is_surely(replace(here, device=9))
    assert here.may_be(replace(here, device=9))


def test_what_surely_is_may_be():
    values = product(("one", "two"), ("", "/a", "/b"), ("", "x", "y"), (8, 9), (2, 3))
    places = [Place(*each) for each in values]

    assert [(a, b) for a in places for b in places if a.is_surely(b) and not a.may_be(b)] == []


def test_a_folder_has_one_path_however_it_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")

    assert Place.of(tmp_path / "link") == Place.of(tmp_path / "folder")
    assert Place.of(tmp_path / "link").path == str(tmp_path / "folder")
