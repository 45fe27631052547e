from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wsgi import apache


@pytest.fixture(scope="session")
def venv() -> Iterator[Path]:
    """Where Apache finds OPUS; skips where there is no Apache."""
    with apache.installed() as found:
        yield found
