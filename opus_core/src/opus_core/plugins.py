"""The plugins that are installed: find them, choose by configuration, list them.

A plugin is what an entry point of the group `opus` names: a module of functions marked with
`opus_core.hookimpl`. Each is loaded, checked and asked for its back ends by itself, so that a
broken one breaks nothing else: it is logged, listed with its cause, and refused if it is selected.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import Distribution, entry_points
from typing import Any, Self, cast

from opus_core import offers, settings
from opus_core.backends import Backend, Jdl, Manager, Storage
from opus_core.config import Config, Selection
from opus_core.errors import ConfigError, PluginError
from opus_core.extensions import Extension
from opus_core.facts import about
from opus_core.hooks import Hooks

__all__ = ["Plugin", "Registry", "State"]

log = logging.getLogger(__name__)


class State(StrEnum):
    """How a plugin is."""

    OK = "ok"
    SELECTED = "selected"  # the configuration uses a back end or an extension of it
    DISABLED = "disabled"  # the configuration says so; it has not been loaded
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """What there is to say about one plugin."""

    name: str  # of the entry point: what `[plugins] disabled` names
    distribution: str
    version: str
    hooks: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()  # "manager local"
    about: tuple[str, ...] = ()  # a sentence for each of them
    state: State = State.OK
    cause: str = ""  # why it is broken, or what else an admin should know; one sentence


@dataclass(slots=True)
class _Entry:
    """One plugin as it is loaded."""

    name: str
    distribution: str = ""
    version: str = ""
    disabled: bool = False
    hooks: tuple[str, ...] = ()
    offers: dict[tuple[str, str], type[Backend]] = field(default_factory=dict)  # (kind, name)
    claims: set[tuple[str, str]] = field(default_factory=set)  # the same, good or not
    error: Exception | None = None
    remark: str = ""

    @property
    def origin(self) -> str:
        return f"{self.distribution} {self.version}".strip() or f"the plugin {self.name}"

    def add(self, kind: str, cls: type[Backend]) -> None:
        if (kind, cls.name) in self.offers:
            raise PluginError(f"it offers two {kind}s of the name {cls.name}")
        self.offers[kind, cls.name] = cls


class Registry:
    """Every plugin of one process; empty until `discover` or `register`."""

    def __init__(self) -> None:
        self.hooks = Hooks()
        self._entries: list[_Entry] = []

    @classmethod
    def installed(cls, disabled: Collection[str] = ()) -> Self:
        """Of every installed plugin but those named, as `discover` finds them."""
        registry = cls()
        registry.discover(disabled)
        return registry

    def discover(self, disabled: Collection[str] = ()) -> None:
        """Load every installed plugin but those named; what is broken is logged and kept.

        A second call finds only what has been installed since.
        """
        known = {(entry.name, entry.distribution) for entry in self._entries}
        points = [(point, *_distribution(point.dist)) for point in entry_points(group=offers.GROUP)]
        # In an order that is not the file system's, by which two of one name would change places.
        for point, name, version in sorted(points, key=lambda one: (one[0].name, one[1])):
            if (point.name, name) in known:
                continue
            entry = _Entry(point.name, name, version, disabled=point.name in disabled)
            self._entries.append(entry)
            if entry.disabled:
                continue
            try:
                module = point.load()
            except (Exception, SystemExit) as error:
                self._break(entry, f"{type(error).__name__}: {error}", error)
            else:
                self._admit(entry, module)
        self._report_twins()
        installed = {entry.name for entry in self._entries}
        for name in set(disabled) - installed:
            near = settings.nearest(name, installed)
            log.warning("[plugins] disabled names %s, which is not installed%s", name, near)

    def register(self, module: object, name: str) -> None:
        """Add a plugin that is not installed, for tests. Raises `PluginError` if it is broken."""
        entry = _Entry(name)
        self._entries.append(entry)
        self._admit(entry, module)
        if entry.error:
            raise PluginError(f"the plugin {name} is broken: {entry.error}") from entry.error

    def storage(self, config: Config) -> Storage:
        """The storage that `[storage] use` selects, ready but not opened.

        Raises `PluginError` if it is missing, broken or offered twice, `ConfigError` for a
        mistake in the rest of its table. So do `manager` and `jdl`.
        """
        return cast(Storage, self._select("storage", config))

    def manager(self, config: Config) -> Manager:
        """The manager that `[manager] use` selects."""
        return cast(Manager, self._select("manager", config))

    def jdl(self, config: Config) -> Jdl:
        """The format that `[jdl] use` selects: the one that is written."""
        return cast(Jdl, self._select("jdl", config))

    def jdls(self, config: Config) -> tuple[Jdl, ...]:
        """Every installed format, the selected one first, the others with their default options.

        One that cannot do without options, or is offered twice, is left out and logged.
        """
        formats = [self.jdl(config)]
        for name, found in self._offers("jdl").items():
            if name == config.jdl.use:
                continue
            try:
                chosen = _only("jdl", name, found)
                where = config.where("jdl")
                formats.append(cast(Jdl, _instance(chosen, {}, where, where, config)))
            except ConfigError as error:
                log.warning("the format %s is left out: %s", name, error)
        return tuple(formats)

    def extensions(self, config: Config) -> tuple[Extension, ...]:
        """Make every extension that `[plugins.NAME]` configures or that can do without; their hooks
        are called from now on.

        Raises `ConfigError` for a mistake in one of these tables, or one that is nobody's;
        `PluginError` for the table of a broken plugin, and for two of one name.
        """
        found = self._offers(offers.EXTENSION)
        self._check_tables(config, found)
        made = []
        for name, offered in found.items():
            where = config.where(f"plugins.{name}")
            try:
                cls = _only(offers.EXTENSION, name, offered)
            except PluginError as error:
                raise PluginError(f"{where} {error}") from error
            if not _is_active(name, cls, config):
                continue
            table = config.plugins.tables.get(name, {})
            extension = cast(Extension, _instance(cls, table, where, where, config))
            self.hooks.add(extension, name, offered[0][0].distribution)
            made.append(extension)
        return tuple(made)

    def offered(self, kind: str) -> list[type[Backend]]:
        """Every class of this kind that some plugin offers, by name."""
        found = sorted(self._offers(kind).items())
        return [cls for _, offered in found for _, cls in offered]

    def plugins(self, config: Config | None = None) -> list[Plugin]:
        """One row for each plugin, by name; with a configuration, which ones it selects."""
        selected = self._selected(config) if config else set()
        return [
            Plugin(
                name=entry.name,
                distribution=entry.distribution,
                version=entry.version,
                hooks=entry.hooks,
                offers=tuple(f"{kind} {name}" for kind, name in entry.offers),
                about=tuple(cls.about for cls in entry.offers.values()),
                state=_state(entry, selected),
                cause=str(entry.error) if entry.error else _remarks(entry, config),
            )
            for entry in sorted(self._entries, key=lambda entry: (entry.name, entry.distribution))
        ]

    def _selected(self, config: Config) -> set[tuple[str, str]]:
        """Kind and name of all that the configuration uses."""
        selected = {(kind, getattr(config, kind).use) for kind in offers.SELECTED}
        for name, found in self._offers(offers.EXTENSION).items():
            if any(_is_active(name, cls, config) for _, cls in found):
                selected.add((offers.EXTENSION, name))
        return selected

    def _check_tables(self, config: Config, found: Collection[str]) -> None:
        """Every table below [plugins] belongs to an extension, or to a plugin that is disabled."""
        for table in config.plugins.tables:
            if table in found:
                continue
            where = config.where(f"plugins.{table}")
            for entry in self._entries:
                if entry.error and (
                    entry.name == table or (offers.EXTENSION, table) in entry.claims
                ):
                    raise PluginError(
                        f"{where} the plugin of {entry.origin} is broken: {entry.error}"
                    ) from entry.error
            if any(entry.disabled for entry in self._entries):
                log.info("%s nothing that is loaded has these options", where)
                continue
            if any(entry.name == table for entry in self._entries):
                raise ConfigError(f"{where} the plugin {table} has no options")
            raise ConfigError(
                f"{where} no installed plugin has an extension of that name; installed: "
                f"{', '.join(sorted(found)) or 'none'}"
                + (settings.nearest(table, found) or "; is its package installed?")
            )

    def _admit(self, entry: _Entry, module: object) -> None:
        """Check a loaded plugin, take its hooks into use and ask it for its back ends."""
        alone = offers.hook_callers()
        try:
            entry.hooks = offers.register(alone, module, entry.name)
            for kind, offered in offers.back_ends(alone):
                entry.claims.add((kind, str(getattr(offered, "name", ""))))
                entry.add(kind, offers.check(kind, offered))
        except PluginError as error:
            self._break(entry, str(error), error)
        except Exception as error:
            self._break(entry, f"it failed to register: {type(error).__name__}: {error}", error)
        else:
            self.hooks.add(module, entry.name, entry.distribution)

    def _break(self, entry: _Entry, cause: str, error: BaseException) -> None:
        entry.offers.clear()
        entry.error = PluginError(" ".join(cause.split()))
        entry.error.__cause__ = error
        log.warning(
            "is broken: %s", entry.error, extra=about(plugin=entry.name, distribution=entry.origin)
        )

    def _report_twins(self) -> None:
        """Say on both sides what two plugins have in common and should not."""
        for entry in self._entries:
            remarks = []
            for other in self._entries:
                if other is entry:
                    continue
                if other.name == entry.name:
                    remarks.append(f"{other.origin} has a plugin {entry.name}, too")
                remarks += [
                    f"{other.origin} offers the {kind} {name}, too: neither can be selected"
                    for kind, name in sorted(entry.offers.keys() & other.offers.keys())
                ]
            entry.remark = "; ".join(remarks)
            if remarks:
                log.warning(
                    "%s", entry.remark, extra=about(plugin=entry.name, distribution=entry.origin)
                )

    def _offers(self, kind: str) -> dict[str, list[tuple[_Entry, type[Backend]]]]:
        """Who offers what of this kind, by name; usually one for each."""
        found: dict[str, list[tuple[_Entry, type[Backend]]]] = {}
        for entry in self._entries:
            for (offered, name), cls in entry.offers.items():
                if offered == kind:
                    found.setdefault(name, []).append((entry, cls))
        return found

    def _select(self, kind: str, config: Config) -> Backend:
        selection: Selection = getattr(config, kind)
        found = self._offers(kind)
        if selection.use not in found:
            raise self._missing(kind, config, sorted(found))
        try:
            chosen = _only(kind, selection.use, found[selection.use])
        except PluginError as error:
            raise PluginError(f"{config.where(kind)} use = {selection.use!r}: {error}") from error
        where = config.where(kind)
        what = f"{where} use = {selection.use!r}:"
        return _instance(chosen, selection.options, where, what, config)

    def _missing(self, kind: str, config: Config, installed: list[str]) -> PluginError:
        """Why nothing can be selected; the cause of a broken plugin is the cause of the error."""
        use = getattr(config, kind).use
        begin = f"{config.where(kind)} use = {use!r}:"
        broken = [entry for entry in self._entries if entry.error]
        for entry in broken:
            if entry.name == use or (kind, use) in entry.claims:
                error = PluginError(
                    f"{begin} the plugin of {entry.origin} is broken: {entry.error}"
                )
                error.__cause__ = entry.error
                return error
        if any(entry.name == use and entry.disabled for entry in self._entries):
            return PluginError(f"{begin} the plugin {use} is named in [plugins] disabled")
        listed = f"installed: {', '.join(installed) or 'none'}"
        others = ", ".join(entry.name for entry in broken)
        return PluginError(
            f"{begin} no installed plugin offers a {kind} of that name; {listed}"
            + (f" (and {others}, broken: see `opus plugins`)" if others else "")
            + (settings.nearest(use, installed) or "; is its package installed?")
        )


def _distribution(distribution: Distribution | None) -> tuple[str, str]:
    if distribution is None:
        return ("", "")
    return (distribution.name or "", distribution.version or "")  # as METADATA says, if it does


def _only(kind: str, name: str, found: list[tuple[_Entry, type[Backend]]]) -> type[Backend]:
    if len(found) > 1:
        origins = " and ".join(entry.origin for entry, _ in found)
        raise PluginError(
            f"{origins} both offer {_a(kind)} of the name {name}; uninstall one of them, or name "
            "its plugin in [plugins] disabled"
        )
    return found[0][1]


def _a(kind: str) -> str:
    return f"{'an' if kind == offers.EXTENSION else 'a'} {kind}"


def _instance(
    cls: type[Backend], table: Mapping[str, Any], where: str, what: str, config: Config
) -> Backend:
    """`where` begins sentences about the table, `what` those about the class."""
    options = settings.fill(
        cls.Options, table, where=where, base=config.base, data_dir=config.data_dir
    )
    try:
        return cls(options)
    except Exception as error:
        raise PluginError(
            f"{what} {cls.__name__} cannot be made: {type(error).__name__}: {error}"
        ) from error


def _is_active(name: str, cls: type[Backend], config: Config) -> bool:
    """Whether an extension has all it needs to be made."""
    return name in config.plugins.tables or not settings.required(cls.Options)


def _remarks(entry: _Entry, config: Config | None) -> str:
    remarks = [entry.remark] if entry.remark else []
    for (kind, name), cls in entry.offers.items():
        if config and kind == offers.EXTENSION and not _is_active(name, cls, config):
            keys = ", ".join(settings.required(cls.Options))
            remarks.append(f"not in use: [plugins.{name}] is absent, and it needs {keys}")
    return "; ".join(remarks)


def _state(entry: _Entry, selected: set[tuple[str, str]]) -> State:
    if entry.disabled:
        return State.DISABLED
    if entry.error:
        return State.BROKEN
    return State.SELECTED if selected & entry.offers.keys() else State.OK
