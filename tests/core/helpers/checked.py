"""An installation for `opus check`, of back ends that need nothing but the core."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from opus_core import checks
from opus_core.app import Opus, open_opus
from opus_core.checks import Installation
from opus_core.config import load
from opus_core.definition import JobDefinition
from opus_core.finding import Finding, State
from opus_core.testing.memory import MemoryStorage

PLUGIN = """
from core.saboteurs.json_jdl import JsonJdl
from opus_core import hookimpl
from opus_core.testing.memory import MemoryStorage
from core.saboteurs.process_manager import ProcessManager

@hookimpl
def opus_register_storage():
    return MemoryStorage

@hookimpl
def opus_register_manager():
    return ProcessManager

@hookimpl
def opus_register_jdl():
    return JsonJdl
"""


class Checked:
    """One that is sound until a test breaks it."""

    def __init__(self, folder: Path, path: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._path = path  # where plugins are installed
        self.universe = uuid.uuid4().hex
        self.install("checked", PLUGIN)
        self.configure()

    def install(self, name: str, source: str) -> None:
        """A plugin, until the test is over."""
        module = f"opus_check_{name}_{self.universe}"
        (self._path / f"{module}.py").write_text(source)
        info = self._path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: opus-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[opus]\n{name} = {module}\n")

    def configure(self, text: str = "", **tables: str) -> None:
        """Write opus.toml; `tables` replaces or adds whole tables by name."""
        parts = {
            "server": "port = 0",
            "storage": f'use = "memory"\nuniverse = "{self.universe}"',
            "manager": f'use = "process"\nfolder = "{self.folder}/cluster"',
            "jdl": 'use = "json"',
            **tables,
        }
        body = "\n".join(f"[{name}]\n{content}\n" for name, content in parts.items())
        config = self.folder / "opus.toml"
        config.write_text(f'data_dir = "data"\n{text}\n{body}')

    def begin(self, **of_description: object) -> Opus:
        """Open it as a server does, with something to run, and close it again."""
        opus = open_opus(load(self.folder / "opus.toml"))
        try:
            definition = JobDefinition(
                **{"name": "hello", "script": "echo hello\n", **of_description}
            )
            opus.catalogue.publish(definition, "a test")
        finally:
            opus.close()
        return opus

    def storage(self) -> MemoryStorage:
        """A further instance of the storage."""
        return MemoryStorage(MemoryStorage.Options(universe=self.universe))

    def findings(self, *further: Callable, **how: object) -> list[Finding]:
        """All that is found."""
        return list(checks.findings(Installation(named=self.folder / "opus.toml", **how), *further))

    def wrong(self, *further: Callable, **how: object) -> dict[str, list[Finding]]:
        """What is found wrong, by code; that no supervisor runs is left out, for none does."""
        found: dict[str, list[Finding]] = {}
        for finding in self.findings(*further, **how):
            if finding.state is not State.OK and finding.code != "supervisor-missing":
                found.setdefault(finding.code, []).append(finding)
        return found

    def one(self, code: str, *further: Callable, **how: object) -> Finding:
        """The one finding of this code."""
        found = self.wrong(*further, **how)
        assert code in found, f"{code} is not found, but {found}"
        [finding] = found[code]
        return finding


@contextmanager
def checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checked]:
    """One in a folder, with the umask that the command `opus` sets."""
    path, site = folder / "path", folder / "site"
    path.mkdir()
    site.mkdir()
    monkeypatch.syspath_prepend(path)
    before = os.umask(0o007)
    try:
        yield Checked(site, path)
    finally:
        os.umask(before)
