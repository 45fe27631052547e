"""How the contracts of extensions make them, and the site that they work in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opus_core.extensions import Extension, Site
from opus_core.hooks import Hooks
from opus_core.testing.backend import BackendContract, Instances, MakeContext
from opus_core.testing.memory import MemoryStorage


class ExtensionKit(BackendContract[Extension]):
    """Fixtures of the contracts of extensions; `make` is the author's."""

    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[Site]:
        """An installation with a storage in memory; `data_dir` is a new folder."""
        universe = uuid.uuid4().hex
        storage = MemoryStorage(MemoryStorage.Options(universe=universe))
        storage.prepare()
        data_dir = tmp_path / "site"
        data_dir.mkdir()
        yield Site(storage=storage, data_dir=data_dir, base_url="https://opus.example.org")
        storage.close()
        MemoryStorage.forget(universe)

    @pytest.fixture
    def instances(
        self, make: Callable[[], Extension], site: Site
    ) -> Iterator[Instances[Extension]]:
        """Makes instances as processes of one site do: checked, and opened."""

        def prepare(extension: Extension) -> None:
            extension.check()
            extension.open(site)

        opened = Instances(make, prepare)
        yield opened
        opened.close()

    @pytest.fixture
    def extension(self, instances: Instances[Extension]) -> Extension:
        """One that was never asked anything."""
        return instances.open()

    @pytest.fixture
    def unavailable(self) -> MakeContext | None:
        """Override with a callable that makes a context in which whatever it depends on does not
        answer."""
        return None


def hooked(extension: Extension) -> Hooks:
    """What calls the hooks of this extension, as the server does."""
    hooks = Hooks()
    hooks.add(extension, extension.name)
    return hooks
