"""The plugin is found by its entry point and offers one format."""

from __future__ import annotations

from importlib.metadata import entry_points

import pluggy

from opus_core import hookspecs
from opus_jdl_wadl.plugin import WadlJdl


def test_the_entry_point_offers_the_format():
    manager = pluggy.PluginManager("opus")
    manager.add_hookspecs(hookspecs)
    (entry,) = (one for one in entry_points(group="opus") if one.name == "wadl")
    manager.register(entry.load())
    manager.check_pending()
    assert manager.hook.opus_register_jdl() == [WadlJdl]
