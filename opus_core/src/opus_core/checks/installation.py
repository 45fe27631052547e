"""What of an installation could be opened, one part after the other.

Each area takes what those before it have opened and adds what it opens itself. What is None could
not be opened, which has been told of: whoever needs it looks at nothing and says nothing.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

from opus_core.auth.people import People
from opus_core.backends import Backend, Jdl, Manager, Storage
from opus_core.config import Config
from opus_core.datadir import DataDir
from opus_core.definitions import Catalogue
from opus_core.extensions import Extension
from opus_core.folder import Folders
from opus_core.plugins import Registry


@dataclass(kw_only=True)
class Installation:
    """One installation that is being looked at."""

    named: Path | None = None  # what `--config` says
    as_users: tuple[pwd.struct_passwd, ...] = ()  # in whose place folders are tried
    by_root: bool = field(default_factory=lambda: is_root())  # who asks, whoever looks
    probes: bool = False  # a job is to be sent, so what a first start makes is made

    config: Config | None = None
    mistaken: frozenset[str] = frozenset()  # tables and keys of the file that are taken for absent
    registry: Registry | None = None
    data_dir: DataDir | None = None
    trial: bool = False  # data_dir is not there yet: all is tried in a temporary folder
    storage: Storage | None = None
    manager: Manager | None = None
    jdl: Jdl | None = None
    extensions: tuple[Extension, ...] = ()
    people: People | None = None
    catalogue: Catalogue | None = None
    folders: Folders | None = None
    closing: ExitStack = field(default_factory=ExitStack)

    @property
    def makes(self) -> bool:
        """Whether what is missing may be made."""
        return self.probes or self.trial


@contextmanager
def opened(installation: Installation) -> Iterator[Installation]:
    """Give back in the end what was opened."""
    with installation.closing:
        yield installation


def paths_of(backend: Backend) -> dict[str, Path]:
    """The files and folders that its options name, by key."""
    options = backend.options
    named = {one.name: getattr(options, one.name) for one in fields(options)}
    return {name: path for name, path in named.items() if isinstance(path, Path)}


def written_by(backend: Backend) -> dict[str, Path]:
    """Those that it writes: a key of what it only reads ends in `_file`, or in `_config`."""
    found = paths_of(backend)
    return {name: path for name, path in found.items() if not name.endswith(("_file", "_config"))}


def read_by(backend: Backend) -> dict[str, Path]:
    """Those that hold a secret."""
    return {name: path for name, path in paths_of(backend).items() if name.endswith("_file")}


def owner_of(path: Path) -> pwd.struct_passwd | None:
    """Whose file it is; None if it is not there, or that user has no name."""
    with suppress(OSError, KeyError):
        return pwd.getpwuid(path.stat().st_uid)
    return None


def is_root() -> bool:
    """Whether rights say nothing about what this process may do."""
    return os.geteuid() == 0
