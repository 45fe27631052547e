"""What all parts of the contract of job description formats have in common."""

from __future__ import annotations

import re
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
