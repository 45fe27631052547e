"""Contract tests for authors of plugins: inherit one, say how an instance is made, run pytest.

Each contract turns every promise of the docstrings in `opus_core.backends`, or those of a hook in
`opus_core.hookspecs`, into a test that is named after it. pytest and hypothesis come with the extra
`opus-core[testing]`. With plugins that keep their contracts a whole server is taken through
`opus_core.testing.journeys`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opus_core.testing.accounts import AccountsContract
    from opus_core.testing.authenticate import AuthenticateContract
    from opus_core.testing.jdl import JdlContract
    from opus_core.testing.manager import ManagerContract
    from opus_core.testing.memory import MemoryStorage
    from opus_core.testing.observer import ObserverContract
    from opus_core.testing.storage import StorageContract

__all__ = [
    "AccountsContract",
    "AuthenticateContract",
    "JdlContract",
    "ManagerContract",
    "MemoryStorage",
    "ObserverContract",
    "StorageContract",
]

_MODULES: Final = {
    "AccountsContract": "accounts",
    "AuthenticateContract": "authenticate",
    "JdlContract": "jdl",
    "ManagerContract": "manager",
    "MemoryStorage": "memory",
    "ObserverContract": "observer",
    "StorageContract": "storage",
}


def __getattr__(name: str) -> object:
    """Import a contract when it is asked for: `opus_core.testing.server` is of use to programs
    without pytest and hypothesis, too."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
