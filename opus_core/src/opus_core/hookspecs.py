"""Every hook a plugin may implement, each saying when it is called.

A plugin is a module of functions marked with `opus_core.hookimpl`, named by an entry point of the
group `opus`. Hooks that offer a back end return a class; configuration selects it by its `name`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pluggy

from opus_core.backends import Jdl, Manager, RequestView, Storage, User
from opus_core.extensions import Extension, Routes
from opus_core.job import Change

hookspec = pluggy.HookspecMarker("opus")
hookimpl = pluggy.HookimplMarker("opus")


@hookspec
def opus_register_storage() -> type[Storage] | list[type[Storage]]:  # type: ignore[empty-body]
    """Offer storages; called once, when plugins are discovered."""


@hookspec
def opus_register_manager() -> type[Manager] | list[type[Manager]]:  # type: ignore[empty-body]
    """Offer managers; called once, when plugins are discovered."""


@hookspec
def opus_register_jdl() -> type[Jdl] | list[type[Jdl]]:  # type: ignore[empty-body]
    """Offer job description formats; called once, when plugins are discovered."""


@hookspec
def opus_register_extension() -> type[Extension] | list[type[Extension]]:  # type: ignore[empty-body]
    """Offer extensions, whose methods are hooks; called once, when plugins are discovered."""


@hookspec(firstresult=True)
def opus_authenticate(request: RequestView) -> User | None:
    """Say who is asking; called for each request whose user neither the web server in front
    names nor a token of ours, from several threads at once.

    The first answer counts. None: not mine to say. Raises `NotAuthenticated` for credentials
    that are its own and wrong, `Unavailable` if whoever knows them cannot be asked; both
    sentences may be shown to anybody, and no credentials stand in them nor in the log.
    """


@hookspec
def opus_job_phase_changed(change: Change) -> None:
    """A job was created (`change.old` is None), changed phase, or was deleted for clients
    (`change.new` is None).

    Called by the supervisor from the journal: in order, at least once; after a crash the last
    ones may come again. `Unavailable`: told again later, and nothing after it before. Another
    error is logged, and the change is over. Whatever happens here, other plugins and jobs wait
    for none of it.
    """


@hookspec
def opus_observers() -> Mapping[str, Callable[[Change], None]]:  # type: ignore[empty-body]
    """Several that hear of changes by the rules of `opus_job_phase_changed`, each for itself.

    Called once, when the supervisor begins. The storage remembers how far each has come by its
    name: what takes the place of another one needs another name.
    """


@hookspec
def opus_routes() -> Routes | None:
    """Answer requests below `/plugins/NAME`, NAME being the plugin's or the extension's; called
    once, when the server begins. None: nothing is answered there."""
