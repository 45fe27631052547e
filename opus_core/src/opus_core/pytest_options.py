"""What pytest learns where opus-core is installed: how the journeys are told of a server.

pytest loads this module in every run there, whatever is tested: it imports nothing when it is
loaded. What the options mean stands in `opus_core.testing.journeys`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own; mypy takes every variable of that name for true
if TYPE_CHECKING:
    import pytest

SUITE = "opus_core.testing.journeys"

NO_CONFIG = (
    "the journeys need the configuration of a server:"
    f" pytest --opus-config FILE.toml --pyargs {SUITE}"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, in a group of their own in `pytest --help`; and show the values that were
    compared where a contract or a journey fails."""
    import pytest

    # Here, because a conftest.py, which imports the contract, is read before pytest_configure.
    pytest.register_assert_rewrite("opus_core.testing")
    group = parser.getgroup("opus", f"journeys through a whole OPUS server (--pyargs {SUITE})")
    group.addoption(
        "--opus-config", metavar="FILE", help="opus.toml of the server that the journeys start"
    )
    group.addoption(
        "--opus-folder",
        metavar="DIR",
        help="where servers have their folders, seen by the cluster; by default pytest's own",
    )
    group.addoption(
        "--opus-before", metavar="COMMAND", help="run before a server, such as 'createdb {site}'"
    )
    group.addoption("--opus-after", metavar="COMMAND", help="run after it, such as 'dropdb {site}'")
    group.addoption(
        "--opus-header",
        metavar="'NAME: VALUE'",
        action="append",
        default=[],
        help="sent with every request, where [auth] asks for it",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Say what to type to who asks for the journeys and names no server."""
    asked = any(argument.startswith(SUITE) for argument in config.args)
    if asked and not config.getoption("opus_config"):
        import pytest

        raise pytest.UsageError(NO_CONFIG)
