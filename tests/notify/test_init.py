"""A new installation finds the options of the plugin in its configuration, to be uncommented."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

from opus_core.config import load
from opus_core.plugins import Registry
from opus_notify.options import NotifyOptions


def test_opus_init_writes_every_option_where_it_only_has_to_be_uncommented(tmp_path):
    command = [sys.executable, "-m", "opus_core.cli", "init", "site"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    file = tmp_path / "site" / "opus.toml"
    before, header, keys = file.read_text().partition("# [plugins.notify]\n")
    assert header, "the table is not there"
    for option in dataclasses.fields(NotifyOptions):
        assert f"\n# {option.name} = " in keys
    assert load(file).plugins.tables == {}

    phases = '# phases = ["COMPLETED", "ERROR", "ABORTED"]'
    assert phases in keys
    file.write_text(f"{before}{header[2:]}{keys.replace(phases, phases[2:])}")
    [notify] = Registry.installed().extensions(load(file))
    assert notify.options.phases == ("COMPLETED", "ERROR", "ABORTED")
