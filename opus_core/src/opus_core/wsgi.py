"""The web side for a WSGI server: `application = make_application("/path/opus.toml")`.

No supervisor runs in it unless `[supervisor] embedded = true`; run `opus supervise` beside it. The
client alone, for the services that `[client] servers` lists, is `make_client_application`.
"""

from __future__ import annotations

import atexit
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bottle

from opus_core.app import client_of, open_opus
from opus_core.client import make_client
from opus_core.config import load
from opus_core.errors import ConfigError
from opus_core.logs import set_up_under_wsgi


def make_application(config: str | Path) -> bottle.Bottle:
    """Open the installation that this file configures; answers the WSGI application."""
    loaded = load(Path(config)).under_wsgi()
    set_up_under_wsgi(loaded)
    opus = open_opus(loaded, supervises=loaded.embedded)
    if loaded.embedded:
        supervisor = opus.supervisor()
        supervisor.start()
        atexit.register(supervisor.stop)
    atexit.register(opus.watcher.close)
    _before_stopping(opus.watcher.close)
    return opus.wsgi()


def _before_stopping(wake: Callable[[], None]) -> None:
    """Call it when a daemon of mod_wsgi is asked to stop. It gives its requests five seconds then,
    and `atexit` comes after them: who waits (WAIT) for longer would be answered 500."""
    try:
        mod_wsgi: Any = importlib.import_module("mod_wsgi")
    except ImportError:
        return  # another server
    if hasattr(mod_wsgi, "subscribe_shutdown"):  # since 4.8
        mod_wsgi.subscribe_shutdown(lambda *_, **__: wake())


def make_client_application(config: str | Path) -> bottle.Bottle:
    """The client alone, for the services that this file lists; answers the WSGI application."""
    loaded = load(Path(config)).under_wsgi()
    if not loaded.client.servers:
        raise ConfigError(f"{loaded.where('client')} lists no services in servers")
    set_up_under_wsgi(loaded)
    return make_client(client_of(loaded))
