"""The hooks of all plugins, called: each plugin's by itself, so that one that fails stops none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pluggy

from opus_core import offers
from opus_core.backends import RequestView, User
from opus_core.extensions import Routes
from opus_core.facts import about
from opus_core.job import Change

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Hooked:
    """A module or an extension whose hooks are called."""

    name: str
    distribution: str
    alone: pluggy.PluginManager
    hooks: tuple[str, ...]

    def answers(self, hook: str) -> list[Any]:
        """What it answers to a hook without arguments; nothing if it fails."""
        try:
            answers: list[Any] = getattr(self.alone.hook, hook)()
        except Exception:
            log.exception(
                "failed in %s", hook, extra=about(plugin=self.name, distribution=self.distribution)
            )
            return []
        return answers

    def tell(self, change: Change) -> None:
        """Call its `opus_job_phase_changed`."""
        self.alone.hook.opus_job_phase_changed(change=change)


class Hooks:
    """Modules and extensions in the order in which they were added."""

    def __init__(self) -> None:
        self._hooked: list[_Hooked] = []
        self._all = offers.hook_callers()

    def add(self, plugin: object, name: str, distribution: str = "") -> None:
        """Call the hooks of this module or extension from now on. Raises `PluginError` if it has
        none, or misspells one."""
        alone = offers.hook_callers()
        hooks = offers.register(alone, plugin, name)
        # What only offers back ends is called no more, and leaves its name to its extension.
        if not all(hook.startswith(offers.REGISTER) for hook in hooks):
            self._hooked.append(_Hooked(name, distribution, alone, hooks))
        if not self._all.is_registered(plugin):  # two entries may name one module
            self._all.register(plugin, name=f"{len(self._hooked)} {name} of {distribution}")

    def named(self, hook: str) -> list[str]:
        """Those that have this hook."""
        return [name for name, one in self._by_name() if hook in one.hooks]

    def authenticate(self, request: RequestView) -> User | None:
        """The first answer to who is asking; None: no plugin knows.

        Raises what the plugin raises: `NotAuthenticated` for credentials that are its own and
        wrong. Its other errors are not caught either, lest somebody be let in by a mistake.
        """
        return cast("User | None", self._all.hook.opus_authenticate(request=request))

    def observers(self) -> dict[str, Callable[[Change], None]]:
        """All that hear of changes, by names that stay the same from one start to the next."""
        found: dict[str, Callable[[Change], None]] = {}
        for name, one in self._by_name():
            if "opus_job_phase_changed" in one.hooks:
                found[name] = one.tell
            for several in one.answers("opus_observers"):
                if isinstance(several, Mapping):
                    found |= {f"{name}/{key}": function for key, function in several.items()}
                else:
                    log.error(
                        "opus_observers answered no mapping: %r", several, extra=about(plugin=name)
                    )
        return found

    def routes(self) -> dict[str, Routes]:
        """What plugins answer below `/plugins/NAME`, by that name."""
        found: dict[str, Routes] = {}
        for name, one in self._by_name():
            for answered in one.answers("opus_routes"):
                if isinstance(answered, Routes):
                    found[name] = answered
                else:
                    log.error(
                        "opus_routes answered no Routes: %r", answered, extra=about(plugin=name)
                    )
        return found

    def _by_name(self) -> Iterator[tuple[str, _Hooked]]:
        """Each under a name of its own. It has no version in it: the storage remembers by this name
        how far an observer has come."""
        taken: set[str] = set()
        for one in self._hooked:
            name = one.name if one.name not in taken else f"{one.name} of {one.distribution}"
            taken.add(name)
            yield name, one
