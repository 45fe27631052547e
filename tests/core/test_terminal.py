"""What commands print for people."""

from __future__ import annotations

from opus_core.commands.terminal import columns, shown


def test_nothing_that_others_wrote_commands_a_terminal():
    assert shown("é\x1b[2J\x07\u202e\r\nb\t") == "é\ufffd[2J\ufffd\ufffd\ufffd\ufffdb\t"


def test_cells_stand_below_each_other():
    rows = [("ID", "NAME"), ("1234", "a\tb\x1b"), ("5", "")]
    assert list(columns(rows)) == ["ID    NAME", "1234  a b\ufffd", "5"]
