"""What is installed: plugins that cannot be loaded, and those that are in each other's way."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from opus_core.checks.backends import examined
from opus_core.checks.installation import Installation
from opus_core.errors import OpusError
from opus_core.extensions import Site
from opus_core.finding import Code, Finding, State
from opus_core.plugins import Plugin, Registry
from opus_core.plugins import State as PluginState

BROKEN: Final = Code(
    "plugin-broken",
    State.WARNING,
    "An installed plugin cannot be loaded, or has a hook that there is not.",
    "Mend, upgrade or uninstall it; or name it in `[plugins] disabled`.",
)
TWINS: Final = Code(
    "plugin-twins",
    State.WARNING,
    "Two plugins have one name, or offer a back end of one name, which nothing can select then.",
    "Uninstall one of them, or name it in `[plugins] disabled`.",
)
UNKNOWN: Final = Code(
    "plugin-unknown",
    State.WARNING,
    "`[plugins] disabled` names what is not installed, so it keeps nothing away.",
    "Write the name as `opus plugins` has it.",
)
AUTHENTICATORS: Final = Code(
    "plugin-authenticators",
    State.WARNING,
    "Several plugins say who is asking; the first that knows an answer decides.",
    "Name all but one in `[plugins] disabled`, unless all are meant.",
)
UNUSABLE: Final = Code(
    "plugin-unusable",
    State.ERROR,
    "An extension cannot begin, or its table `[plugins.NAME]` has a mistake: no server starts.",
    "Mend what the sentence names.",
)
REMARK: Final = Code(
    "plugin-remark",
    State.WARNING,
    "An extension works, and says what should not stay so.",
    "See the page of that plugin.",
)


def findings(installation: Installation) -> Iterator[Finding]:
    """Also where there is no configuration: then whatever is installed."""
    config = installation.config
    disabled = config.plugins.disabled if config is not None else ()
    registry = installation.registry = Registry.installed(disabled)
    found = registry.plugins()
    for plugin in found:
        yield from _of(plugin)
    for name in sorted(set(disabled) - {plugin.name for plugin in found}):
        yield UNKNOWN(
            f"plugin {name}",
            f"[plugins] disabled names {name}, which is not installed; see `opus plugins`",
        )


def _of(plugin: Plugin) -> Iterator[Finding]:
    subject = f"plugin {plugin.name}"
    if plugin.state is PluginState.BROKEN:
        origin = f"{plugin.distribution} {plugin.version}".strip()
        yield BROKEN(
            subject,
            f"it cannot be used: {plugin.cause}; mend or uninstall {origin}, or name the plugin in"
            " [plugins] disabled",
        )
    elif plugin.cause:
        yield TWINS(
            subject, f"{plugin.cause}; uninstall one of them, or name it in [plugins] disabled"
        )


def extensions(installation: Installation) -> Iterator[Finding]:
    """Those that are in use, each checked and opened as a server does."""
    registry, config, storage = installation.registry, installation.config, installation.storage
    if registry is None or config is None or "plugins" in installation.mistaken:
        return
    try:
        made = registry.extensions(config)
    except OpusError as error:
        yield UNUSABLE("plugins", error.sentence)
        return
    for extension in made:
        installation.closing.callback(extension.close)
    installation.extensions = made
    site = None
    if storage is not None and installation.data_dir is not None:
        site = Site(storage=storage, data_dir=installation.data_dir.path, base_url=config.base_url)
    for extension in made:
        opening = partial(extension.open, site) if site is not None else None
        yield from examined(f"plugin {extension.name}", extension, UNUSABLE, REMARK, opening)
    names = registry.hooks.named("opus_authenticate")
    if len(names) > 1:
        yield AUTHENTICATORS(
            "plugins",
            f"{' and '.join(names)} all say who is asking, and the first that knows an answer"
            " decides; name those that are not meant in [plugins] disabled",
        )
