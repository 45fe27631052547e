"""What all parts of the contract of job description formats have in common."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from typing import ClassVar, Final

import pytest

from opus_core.backends import Bundle, Jdl
from opus_core.definition import JobDefinition, Option, ParameterDescription, ParameterType
from opus_core.errors import CannotCarry
from opus_core.testing.backend import BackendContract, Instances

PLAIN: Final = JobDefinition(name="periodogram", parameters=(ParameterDescription(name="longest"),))
FULL: Final = JobDefinition(
    name="periodogram",
    description='The strongest period\nof a <series> & "more"',
    parameters=(
        ParameterDescription(
            name="method",
            type=ParameterType.STRING,
            default="lomb",
            options=(Option(value="lomb", description="Lomb & Scargle"), Option(value="fft")),
        ),
        ParameterDescription(name="longest", type=ParameterType.DOUBLE, unit="a", minimum="1"),
    ),
    script='echo "$method" > out\n',
)


class Refuge:
    """A server on loopback that nobody must call; knows whether somebody has."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/x"

    def called(self) -> bool:
        """Whether a connection was made, even if it has been given up since."""
        try:
            self._socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


class JdlKit(BackendContract[Jdl]):
    """Fixtures of the contract of formats; `make` is the author's."""

    too_large: ClassVar[int] = 64 * 2**20
    """A document of so many bytes has to be refused [byte]."""

    @pytest.fixture
    def instances(self, make: Callable[[], Jdl]) -> Iterator[Instances[Jdl]]:
        """Makes instances, and closes them."""
        opened = Instances(make, lambda jdl: None)
        yield opened
        opened.close()

    @pytest.fixture
    def jdl(self, instances: Instances[Jdl]) -> Jdl:
        """One instance."""
        return instances.open()

    @pytest.fixture
    def refuge(self) -> Iterator[Refuge]:
        """A server that must not be called."""
        server = Refuge()
        yield server
        server.close()


def read(jdl: Jdl, bundle: Bundle) -> JobDefinition:
    """What was written, read."""
    return jdl.loads(bundle.data, bundle.files)


def lost(jdl: Jdl, definition: JobDefinition) -> set[str] | None:
    """The fields that cannot be carried, without what stands behind their names; None if all
    can."""
    try:
        jdl.dumps(definition)
    except CannotCarry as refusal:
        return {re.split(r"[.\[]", name)[0] for name in refusal.fields}
    return None
