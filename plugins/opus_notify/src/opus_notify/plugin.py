"""What the entry point `notify` offers."""

from __future__ import annotations

from opus_core import hookimpl
from opus_core.extensions import Extension
from opus_notify.extension import Notify


@hookimpl
def opus_register_extension() -> type[Extension]:
    """Offer the extension."""
    return Notify
