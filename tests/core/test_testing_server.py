"""Ports for the servers of tests, of which others are given at the same time."""

from __future__ import annotations

from opus_core.testing.server import _BLOCK, _BLOCKS, _block, free_port


def test_a_port_is_not_offered_again_at_once():
    offered = [free_port() for _ in range(20)]
    assert len(set(offered)) == len(offered)


def test_two_processes_offer_no_port_of_each_other_whatever_their_numbers_are():
    first, taken = _block.__wrapped__(1)
    second, too = _block.__wrapped__(1 + _BLOCKS)
    try:
        assert abs(first - second) >= _BLOCK
    finally:
        taken.close()
        too.close()
