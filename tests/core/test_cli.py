from __future__ import annotations

import errno
import os

import pytest

from opus_core import cli
from opus_core.commands import plugins
from opus_core.errors import BadRequest


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (BadRequest("name another file"), "opus: name another file\n"),
        (
            PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/etc/opus"),
            "opus: /etc/opus: Permission denied\n",
        ),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "opus: Input/output error\n"),
        (OSError("odd"), "opus: odd\n"),
    ],
)
def test_what_a_command_raises_is_one_sentence(monkeypatch, capsys, error, sentence):
    def run(args):
        raise error

    before = os.umask(0)
    monkeypatch.setattr(plugins, "run", run)
    try:
        assert cli.main(["plugins"]) == 2
    finally:
        os.umask(before)
    assert capsys.readouterr().err == sentence
