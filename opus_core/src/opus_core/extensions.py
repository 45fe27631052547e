"""What a plugin can be that is no back end: an extension, with options of its own.

A plugin whose hooks need neither options nor the installation writes them as functions of its
module. One that does offers a class from `opus_register_extension`, with the same hooks as methods:

    class Notify(Extension):
        name = "notify"
        about = "tells of jobs by e-mail"
        Options = NotifyOptions          # filled from [plugins.notify]

        @hookimpl
        def opus_job_phase_changed(self, change: Change) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opus_core.backends import Backend, Storage

__all__ = ["Extension", "Routes", "Site"]

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application (PEP 3333)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The installation that an extension works in."""

    storage: Storage
    """Jobs, the journal, accounts, and streams of records; call yours `NAME` or `NAME:...`. Jobs
    are for reading: what an extension saves of one, the server does not know of."""

    data_dir: Path
    """A file of an extension's own belongs below `data_dir / "plugins" / NAME`."""

    base_url: str | None = None
    """How users reach the server, without a slash at the end, as far as the configuration says."""


class Extension(Backend):
    """Methods that `opus_core.hookimpl` marks are hooks, called as a module's functions are.

    One instance is made, checked and opened in every process that serves or supervises, and by
    commands that open the whole installation (`opus check`), if the table `[plugins.NAME]` is there
    or `Options` can do without it.
    """

    def open(self, site: Site) -> None:
        """Called once, after `check` and before any hook, with the storage ready to be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """What a plugin answers at `/plugins/NAME` and below.

    The server has found out who asks before it calls the application: `environ["opus.user"]` is
    an `opus_core.backends.User`. Wrong credentials are refused (401), and so is what a page of
    another site made somebody's browser ask for (403), but for GET, HEAD and OPTIONS: change
    nothing on these.
    """

    application: Application
    """Called with `PATH_INFO` as it was sent, from behind `/plugins/NAME` on. An error of
    `opus_core.errors` that it raises becomes an answer with that sentence. Headers that keep
    browsers from taking an answer for something else are added unless it sets them itself."""

    anonymous: bool = False
    """Whether it is also called for somebody unknown, and looks at who asks by itself: at the roles
    of the user, and at the scopes of a token. Else those are answered 401, and a token needs the
    scope `read`, or `run` for what changes something (403)."""
