"""What the entry point `local` offers."""

from __future__ import annotations

from opus_core import hookimpl
from opus_core.backends import Manager
from opus_manager_local.manager import LocalManager


@hookimpl
def opus_register_manager() -> type[Manager]:
    """Offer the local manager."""
    return LocalManager
