"""A small reference format keeps the contract that every format has to keep."""

from __future__ import annotations

import pytest

from core.saboteurs.json_jdl import LARGEST, JsonJdl
from core.saboteurs.xml_jdl import XmlJdl
from opus_core.testing import JdlContract


class TestJson(JdlContract):
    too_large = 2 * LARGEST

    @pytest.fixture
    def make(self):
        return lambda: JsonJdl(JsonJdl.Options())


class TestXml(JdlContract):
    xml = True
    too_large = 2 * LARGEST

    @pytest.fixture
    def make(self):
        return lambda: XmlJdl(XmlJdl.Options())
