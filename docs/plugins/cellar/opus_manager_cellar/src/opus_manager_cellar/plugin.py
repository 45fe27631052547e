"""What OPUS finds by the entry point `cellar`."""

from __future__ import annotations

from opus_core import hookimpl
from opus_core.backends import Manager

from opus_manager_cellar.manager import CellarManager


@hookimpl
def opus_register_manager() -> type[Manager]:
    """Offer it to the registry."""
    return CellarManager
