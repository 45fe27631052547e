"""The contract of `Jdl`: every promise of its docstrings as a test."""

from __future__ import annotations

from opus_core.testing.jdl_foreign import ForeignPromises
from opus_core.testing.jdl_law import LawPromises
from opus_core.testing.jdl_xml import XmlPromises


class JdlContract(LawPromises, ForeignPromises, XmlPromises):
    """Inherit it and say how an instance is made.

        class TestMyJdl(JdlContract):
            xml = True

            @pytest.fixture
            def make(self):
                return lambda: MyJdl(MyJdl.Options())

    What a format is, is said by class attributes:

    - `xml = True`: it is XML, so that what is dangerous in XML is tried.
    - `too_large`: a document of so many bytes has to be refused.

    What the kit cannot bring about by itself is said by a fixture, and skipped without it:

    - `unfit`: a callable that makes an instance which cannot work here.
    """
