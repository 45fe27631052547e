"""Contract tests for authors of plugins: inherit one, say how an instance is made, run pytest.

Each contract turns every promise of the docstrings in `opus_core.backends`, or those of a hook in
`opus_core.hookspecs`, into a test that is named after it. pytest and hypothesis come with the extra
`opus-core[testing]`.
"""

from pkgutil import iter_modules

import pytest

# Failures show the values that were compared, as in the author's own tests.
pytest.register_assert_rewrite(*(f"{__name__}.{one.name}" for one in iter_modules(__path__)))

from opus_core.testing.accounts import AccountsContract  # noqa: E402
from opus_core.testing.authenticate import AuthenticateContract  # noqa: E402
from opus_core.testing.jdl import JdlContract  # noqa: E402
from opus_core.testing.manager import ManagerContract  # noqa: E402
from opus_core.testing.memory import MemoryStorage  # noqa: E402
from opus_core.testing.observer import ObserverContract  # noqa: E402
from opus_core.testing.storage import StorageContract  # noqa: E402

__all__ = [
    "AccountsContract",
    "AuthenticateContract",
    "JdlContract",
    "ManagerContract",
    "MemoryStorage",
    "ObserverContract",
    "StorageContract",
]
