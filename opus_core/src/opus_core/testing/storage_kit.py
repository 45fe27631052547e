"""What all parts of the storage contract have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar, cast

import pytest
from hypothesis import HealthCheck, settings

from opus_core.backends import Storage
from opus_core.testing.backend import BackendContract, Instances, MakeContext
from opus_core.testing.timing import PATIENCE, eventually

Soon = Callable[[Callable[[], Any], str], None]

F = TypeVar("F", bound=Callable[..., Any])

_SETTINGS = settings(
    deadline=None,  # a disk that syncs takes the time it takes
    # One store serves all examples of a test, each with ids of its own; a contract is run by
    # every class that inherits it; 200 kB of text now and then is what is wanted.
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)


def thorough(test: F) -> F:
    """Settings for a hypothesis test of a contract; the number of examples is the profile's."""
    # The 200 kB of a counter-example are reason enough for hypothesis to warn, and a warning that
    # is an error elsewhere would hide what failed.
    quiet = pytest.mark.filterwarnings("ignore:Generating overly large repr")
    return cast(F, quiet(_SETTINGS(test)))


class StorageKit(BackendContract[Storage]):
    """Fixtures of the storage contract; `make` is the author's, the rest may be overridden."""

    keeps_accounts: ClassVar[bool] = True
    """Whether `accounts()` is not None; then hold `AccountsContract` against it as well."""

    copies: ClassVar[bool] = False
    """Whether `copy_into` copies, into another one of its kind at least."""

    @pytest.fixture
    def empty(self) -> Callable[[], Storage] | None:
        """Override with a callable that makes a storage on data of its own, with nothing in it;
        it is needed where `copies = True`."""
        return None

    @pytest.fixture
    def pass_time(self) -> Callable[[float], None] | None:
        """Override with a callable that puts the storage's clock forward by so many seconds.

        Without it the promises about hours and days are skipped, and those about tenths of a
        second are waited for.
        """
        return None

    @pytest.fixture
    def full(self) -> MakeContext | None:
        """Override with a callable that makes a context in which there is no room for another
        half a megabyte."""
        return None

    @pytest.fixture
    def unavailable(self) -> MakeContext | None:
        """Override with a callable that makes a context in which the store cannot be reached, or
        somebody keeps it locked."""
        return None

    @pytest.fixture
    def make_newer(self) -> Callable[[], None] | None:
        """Override with a callable that makes the stored schema look newer than the code."""
        return None

    @pytest.fixture
    def instances(self, make: Callable[[], Storage]) -> Iterator[Instances[Storage]]:
        """Makes prepared instances on the same data."""
        opened = Instances(make, lambda storage: storage.prepare())
        yield opened
        opened.close()

    @pytest.fixture
    def storage(self, instances: Instances[Storage]) -> Storage:
        """A prepared storage with nothing in it."""
        return instances.open()

    @pytest.fixture
    def later(self, pass_time: Callable[[float], None] | None) -> Callable[[float], None]:
        """Puts the clock forward by hours or days; the test is skipped where it cannot."""
        if pass_time is None:
            pytest.skip("time cannot be put forward: supply the fixture `pass_time`")
        return pass_time

    @pytest.fixture
    def soon(self, pass_time: Callable[[float], None] | None) -> Soon:
        """Waits for what comes true within a second of the storage's clock."""

        def wait(condition: Callable[[], Any], what: str) -> None:
            if pass_time is not None:
                pass_time(1.0)
            eventually(condition, what, PATIENCE)

        return wait
