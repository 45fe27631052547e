"""What a plugin brings: its hooks and back ends, checked before anybody calls them.

Each mistake is a `PluginError` with a sentence for the plugin's author.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import pluggy

from opus_core import hookspecs, settings
from opus_core.backends import Backend, Jdl, Manager, Storage
from opus_core.errors import PluginError
from opus_core.extensions import Extension

EXTENSION: Final = "extension"
KINDS: Final[Mapping[str, type[Backend]]] = MappingProxyType(
    {"storage": Storage, "manager": Manager, "jdl": Jdl, EXTENSION: Extension}
)
SELECTED: Final = ("storage", "manager", "jdl")
"""The kinds of which the configuration selects one by `use`."""

_TEXTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {kind: ("about",) for kind in KINDS} | {"jdl": ("about", "suffix", "media_type")}
)


GROUP: Final = "opus"
"""The group of entry points, and what pluggy calls the project."""

REGISTER: Final = "opus_register_"
"""What the hooks begin with that offer back ends."""


def hook_callers() -> pluggy.PluginManager:
    """A manager that knows every hook and no plugin."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def register(alone: pluggy.PluginManager, module: object, name: str) -> tuple[str, ...]:
    """Register the plugin with `alone`, which knows no other; the hooks it implements."""
    hooks = implemented(alone, module, name)
    if not hooks:
        raise PluginError("it implements no hook; mark its functions with @opus_core.hookimpl")
    alone.register(module, name=name)
    return hooks


def implemented(alone: pluggy.PluginManager, module: object, name: str) -> tuple[str, ...]:
    """The hooks among the functions of a module, or the methods of a class."""
    legal = [hook for hook in dir(hookspecs) if hook.startswith("opus_")]
    hooks = []
    for function in dir(module):
        options = alone.parse_hookimpl_opts(module, function)
        if options is None:
            continue
        hook = options["specname"] or function
        spec = getattr(alone.hook, hook).spec if hook in legal else None
        if spec is None:
            near = settings.nearest(hook, legal) or f"; there are: {', '.join(legal)}"
            raise PluginError(f"there is no hook {hook}{near}")
        implementation = pluggy.HookImpl(module, name, getattr(module, function), options)
        if unknown := sorted(set(implementation.argnames) - set(spec.argnames)):
            takes = ", ".join(spec.argnames) or "none"
            raise PluginError(
                f"{hook} has no argument {', '.join(unknown)}; those it may have: {takes}"
            )
        hooks.append(hook)
    return tuple(hooks)


def back_ends(alone: pluggy.PluginManager) -> Iterator[tuple[str, object]]:
    """What the plugin offers, unchecked, with the kind it offers that as."""
    for kind in KINDS:
        for result in getattr(alone.hook, f"{REGISTER}{kind}")():
            for offered in result if isinstance(result, (list, tuple)) else (result,):
                yield kind, offered


def check(kind: str, offered: object) -> type[Backend]:
    """What was offered, if it is a class that can be selected as `kind`."""
    base = KINDS[kind]
    if not isinstance(offered, type):
        raise PluginError(f"opus_register_{kind} must return a class, not {offered!r}")
    title = offered.__name__
    if not issubclass(offered, base):
        raise PluginError(
            f"opus_register_{kind} returned {title}, which is not a subclass of "
            f"opus_core.backends.{base.__name__}"
        )
    if inspect.isabstract(offered):
        missing = ", ".join(sorted(offered.__abstractmethods__))
        raise PluginError(f"{title} does not implement {missing}")
    name = getattr(offered, "name", None)
    if not isinstance(name, str) or not re.fullmatch("[a-z0-9_]+", name):
        raise PluginError(f"{title}.name must be of lower case letters, digits and _, not {name!r}")
    for text in _TEXTS[kind]:
        value = getattr(offered, text, None)
        if not isinstance(value, str) or not value:
            raise PluginError(f"{title}.{text} must be a string that is not empty, not {value!r}")
    if fault := settings.fault(offered.Options):
        raise PluginError(f"{title}: {fault}")
    if issubclass(offered, Extension):
        _check_hooks(offered)
    return offered


def _check_hooks(extension: type[Extension]) -> None:
    title = extension.__name__
    try:
        hooks = implemented(hook_callers(), extension, title)
    except PluginError as error:
        raise PluginError(f"{title}: {error.sentence}") from error
    if early := [hook for hook in hooks if hook.startswith(REGISTER)]:
        raise PluginError(f"{title}.{early[0]} must be a function of the module, not a method")
    if not hooks:
        raise PluginError(f"{title} implements no hook; mark its methods with @opus_core.hookimpl")
