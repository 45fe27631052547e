"""Where the log of a process goes."""

from __future__ import annotations

import http.client
import logging
from dataclasses import replace

import bottle
import pytest

from opus_core.config import Config
from opus_core.errors import BackendUnavailable, ConfigError
from opus_core.logs import set_up
from opus_core.routes.log import Answered
from opus_core.serving import Web
from opus_core.spool import Spool


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


@pytest.mark.parametrize(
    ("error", "traces"),
    [(BackendUnavailable("the storage is away"), 0), (KeyError("a fault of ours"), 1)],
)
def test_a_list_that_cannot_be_brought_to_its_end_is_a_line_and_no_trace(tmp_path, error, traces):
    set_up(replace(Config(), log_file=tmp_path / "opus.log"))
    app = bottle.Bottle()

    @app.get("/list")
    def rows():
        yield b"the first"
        raise error

    def answered(environ, start_response):
        return Answered(environ, "PATH_INFO").by(app, start_response)

    spool = Spool(tmp_path / "spool", largest=1000, min_free=0)
    with Web(answered, spool, host="127.0.0.1", port=0, threads=1) as web:
        web.begin()
        asked = http.client.HTTPConnection(web.url.removeprefix("http://"), timeout=10)
        asked.request("GET", "/list")
        with pytest.raises(http.client.IncompleteRead):
            asked.getresponse().read()
        asked.close()
    logging.getLogger("it").info("any other line, for which those of requests wait")
    log = (tmp_path / "opus.log").read_text()
    assert log.count("Traceback") == traces
    assert log.count('cut=True reason="the storage is away"') == 1 - traces
