"""Where the log of a process goes."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from opus_core.config import Config
from opus_core.errors import ConfigError
from opus_core.logs import set_up


@pytest.fixture(autouse=True)
def root():
    """As it was, afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield root
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def test_two_applications_of_a_process_write_each_line_once(tmp_path):
    config = replace(Config(), log_file=tmp_path / "logs" / "opus.log")
    set_up(config)
    set_up(config)
    logging.getLogger("it").info("once")
    assert (tmp_path / "logs" / "opus.log").read_text().count("once") == 1


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "logs").touch()
    with pytest.raises(ConfigError, match=r"the log .* cannot be written: .*; let log_file name"):
        set_up(replace(Config(), log_file=tmp_path / "logs" / "opus.log"))
