"""What `opus check` looks at: areas, in the order in which things depend on each other.

An area is a module: its `Code`s, each of them one thing that can be wrong, and functions that look
at an installation and yield what they find. What an area finds broken keeps none of the others from
looking at what does not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Final

from opus_core.checks import (
    accounts,
    addresses,
    backends,
    clocks,
    configuration,
    deployed,
    descriptions,
    folders,
    instance,
    owners,
    plugins,
    probe,
    rights,
    security,
    supervision,
    web,
)
from opus_core.checks.installation import Installation, opened
from opus_core.errors import OpusError
from opus_core.finding import Code, Finding, State
from opus_core.offers import KINDS
from opus_core.plugins import Registry

__all__ = ["AREAS", "Installation", "all_codes", "codes", "codes_of", "findings"]

Look = Callable[[Installation], Iterator[Finding]]

AREAS: Final[tuple[ModuleType, ...]] = (
    configuration,
    owners,
    plugins,
    rights,
    folders,
    backends,
    instance,
    clocks,
    supervision,
    web,
    addresses,
    deployed,
    descriptions,
    accounts,
    security,
    probe,
)
"""In the order in which their codes are listed."""

_FIRST: Final[tuple[Look, ...]] = (configuration.findings, plugins.findings)
"""These run nothing that the configuration names: the plugins are of who installed them."""

_LOOKS: Final[tuple[Look, ...]] = (
    folders.data,
    backends.storage,
    backends.manager,
    backends.jdl,
    plugins.extensions,
    rights.findings,
    configuration.secrets,
    folders.jobs,
    folders.closed,
    folders.room,
    instance.findings,
    clocks.findings,
    supervision.findings,
    web.findings,
    addresses.findings,
    deployed.findings,
    descriptions.findings,
    accounts.findings,
)

UNFINISHED: Final = Code(
    "check-unfinished",
    State.ERROR,
    "An area could not be looked at to its end: the storage has stopped to answer, say.",
    "Mend what the sentence names, and check again; report it if that is OPUS itself.",
)


def findings(installation: Installation, *further: Look) -> Iterator[Finding]:
    """All that there is to say; `further` looks, `security.findings` or `probe.findings`, last.

    Root looks at what is another user's as that user, and tries their rights itself.
    """
    yield from _all(_FIRST, installation)
    owner = owners.owner(installation)
    if owner is None:
        yield from _all((*_LOOKS, *further), installation)
        return
    looks = [look for look in (*_LOOKS, *further) if look is not rights.findings]
    yield from owners.in_place_of(owner, lambda: _all(looks, installation))
    yield from _all((rights.findings,), installation)


def _all(looks: Iterable[Look], installation: Installation) -> Iterator[Finding]:
    with opened(installation):
        for look in looks:
            yield from _guarded(look, installation)


def _guarded(look: Look, installation: Installation) -> Iterator[Finding]:
    area = look.__module__.rpartition(".")[2]
    try:
        yield from look(installation)
    except OpusError as error:
        yield UNFINISHED(area, error.sentence)
    except OSError as error:
        at = f" ({error.filename})" if error.filename is not None else ""
        yield UNFINISHED(area, f"{error.strerror or error}{at}; mend that, and check again")
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        yield UNFINISHED(area, f"looking at it failed ({said}); please report that")


def codes() -> Iterator[Code]:
    """What the core can find, in the order of its areas."""
    yield UNFINISHED
    for area in AREAS:
        yield from codes_of(area)


def codes_of(area: ModuleType) -> list[Code]:
    """What an area can find, in the order in which it is written there."""
    return [one for one in vars(area).values() if isinstance(one, Code)]


def all_codes(registry: Registry) -> Iterator[Code]:
    """What the core and the installed plugins can find."""
    yield from codes()
    for kind in KINDS:
        for offered in registry.offered(kind):
            yield from offered.codes
