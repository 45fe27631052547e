"""The web side for a WSGI server: `application = make_application("/path/opus.toml")`.

No supervisor runs in it unless `[supervisor] embedded = true`; run `opus supervise` beside it.
"""

from __future__ import annotations

import atexit
from pathlib import Path

import bottle

from opus_core.app import open_opus
from opus_core.config import load
from opus_core.logs import set_up


def make_application(config: str | Path) -> bottle.Bottle:
    """Open the installation that this file configures; answers the WSGI application."""
    loaded = load(Path(config)).under_wsgi()
    if loaded.log_file is not None:
        set_up(loaded)
    opus = open_opus(loaded, supervises=loaded.embedded)
    if loaded.embedded:
        supervisor = opus.supervisor()
        supervisor.start()
        atexit.register(supervisor.stop)
    atexit.register(opus.watcher.close)
    return opus.wsgi()
