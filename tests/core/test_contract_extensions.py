"""Small reference extensions keep the contracts that every extension has to keep."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from core.saboteurs.extensions import Diary, FileOptions, Seal, read
from opus_core.testing import AuthenticateContract, ObserverContract

KEY = b"a key for tests"


@contextmanager
def away(file):
    """A context in which the file is not there, and nothing can be in its place."""
    kept = file.with_name("kept")
    if file.exists():
        file.rename(kept)
    file.mkdir()
    try:
        yield
    finally:
        file.rmdir()
        if kept.exists():
            kept.rename(file)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file"


class TestSeal(AuthenticateContract):
    @pytest.fixture
    def make(self, file):
        file.write_bytes(KEY)
        return lambda: Seal(FileOptions(file=file))

    @pytest.fixture
    def known(self):
        return Seal.credentials(KEY, "ada"), "ada"

    @pytest.fixture
    def wrong(self):
        return Seal.credentials(b"another key", "ada")

    @pytest.fixture
    def unavailable(self, file):
        return lambda: away(file)

    @pytest.fixture
    def unfit(self, file):
        return lambda: Seal(FileOptions(file=file.with_name("lost")))


class TestDiary(ObserverContract):
    @pytest.fixture
    def make(self, file):
        return lambda: Diary(FileOptions(file=file))

    @pytest.fixture
    def heard(self, file):
        return lambda: read(file)

    @pytest.fixture
    def unavailable(self, file):
        return lambda: away(file)

    @pytest.fixture
    def unfit(self, file):
        return lambda: Diary(FileOptions(file=file / "diary"))
