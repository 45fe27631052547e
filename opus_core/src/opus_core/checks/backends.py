"""The storage, the manager and the format: selected, checked, and asked what they have found."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final, cast

from opus_core.app import people_of
from opus_core.backends import Backend, Jdl, Manager, Storage
from opus_core.checks.installation import Installation, is_root, owner_of, written_by
from opus_core.config import Config
from opus_core.errors import ConfigError, OpusError
from opus_core.finding import Code, Finding, State, ok

STORAGE: Final = Code(
    "storage-unusable",
    State.ERROR,
    "The storage cannot be used: its file or database, its version, its schema, who may write it.",
    "Mend what the sentence names; see `docs/admin/postgresql.md`.",
)
STORAGE_MISSING: Final = Code(
    "storage-missing",
    State.WARNING,
    "A data folder that is in use has no database: the next start makes an empty one.",
    "Mend `[storage] path`, or bring the file back from a back-up.",
)
STORAGE_UNPREPARED: Final = Code(
    "storage-schema",
    State.WARNING,
    "The storage has no tables yet, or those of an older version of OPUS; this look does not change"
    " them, and so looks at nothing in them.",
    "Make a back-up if there is anything in it, and start the server: that makes them, or brings"
    " them up to date. If there should be jobs in it, mend `[storage]`.",
)
STORAGE_REMARK: Final = Code(
    "storage-remark",
    State.WARNING,
    "The storage works, and says what should not stay so.",
    "Do what the sentence says.",
)
MANAGER: Final = Code(
    "manager-unusable",
    State.ERROR,
    "The manager cannot be used here: a command, a right or a folder is missing. No job runs.",
    "Mend what the sentence names; see `docs/admin/local.md`, `docs/admin/slurm.md`.",
)
MANAGER_REMARK: Final = Code(
    "manager-remark",
    State.WARNING,
    "The manager works, and says what should not stay so: jobs run as root, say.",
    "Do what the sentence says.",
)
FORMAT: Final = Code(
    "format-unusable",
    State.ERROR,
    "The format that descriptions are written in cannot be used.",
    "Mend `[jdl]`, or install its plugin.",
)
FORMAT_REMARK: Final = Code(
    "format-remark",
    State.WARNING,
    "The format works, and says what should not stay so.",
    "Do what the sentence says.",
)
STUMBLED: Final = Code(
    "plugin-stumbled",
    State.WARNING,
    "A plugin failed when it was asked what it has found.",
    "Report it to the plugin's authors, with the sentence.",
)


def storage(installation: Installation) -> Iterator[Finding]:
    """Opened, and its accounts with it. Only a storage that cannot say whether it is prepared is
    prepared as by a server that starts."""
    config, data_dir = installation.config, installation.data_dir
    selected = cast("Storage | None", (yield from _selected(installation, "storage", STORAGE)))
    if selected is None or config is None:
        return
    missing = [path for path in written_by(selected).values() if not os.path.exists(path)]
    if missing and not installation.makes and os.path.isdir(missing[0].parent):
        yield STORAGE_MISSING(
            "storage",
            f"there is no {missing[0]}, so the next start makes an empty one; if there was one,"
            " mend [storage] path, or bring the file back from a back-up",
        )
        return
    if not (yield from examined("storage", selected, STORAGE, STORAGE_REMARK)):
        return
    if installation.trial and not (missing and _are_of_the_trial(missing, config)):
        return  # what a first start makes elsewhere is not made here
    try:
        why = selected.unprepared()
        if why and not installation.makes:
            yield STORAGE_UNPREPARED(
                "storage",
                f"{why}; the next start of a server sees to that. Until then accounts, jobs and"
                " what else is in it are not looked at",
            )
            return
        if why != "":
            selected.prepare()
        selected.health()
    except OpusError as error:
        yield STORAGE("storage", error.sentence)
        return
    installation.storage = selected
    if data_dir is not None:
        installation.people = people_of(config, selected, data_dir)


def manager(installation: Installation) -> Iterator[Finding]:
    """The one that jobs are handed to."""
    selected = cast("Manager | None", (yield from _selected(installation, "manager", MANAGER)))
    if selected is None:
        return
    missing = [path for path in written_by(selected).values() if not os.path.exists(path)]
    if is_root() and not installation.makes and any(map(_is_anothers, missing)):
        # Its check would make it, and it would be root's.
        yield ok("manager", f"{selected.name}: {selected.about}; {missing[0]} is not there yet")
        installation.manager = selected
        return
    if (yield from examined("manager", selected, MANAGER, MANAGER_REMARK)):
        installation.manager = selected


def jdl(installation: Installation) -> Iterator[Finding]:
    """The format that is written, with which all that are installed read."""
    selected = cast("Jdl | None", (yield from _selected(installation, "jdl", FORMAT)))
    if selected is not None and (yield from examined("jdl", selected, FORMAT, FORMAT_REMARK)):
        installation.jdl = selected


def _are_of_the_trial(paths: list[Path], config: Config) -> bool:
    return all(path.is_relative_to(config.data_dir) for path in paths)


def _is_anothers(path: Path) -> bool:
    """Whether it would lie in a folder of a user's."""
    owner = owner_of(path.parent)
    return owner is not None and owner.pw_uid != 0


def _selected(
    installation: Installation, kind: str, unusable: Code
) -> Generator[Finding, None, Backend | None]:
    registry, config = installation.registry, installation.config
    if registry is None or config is None or kind in installation.mistaken:
        return None
    select: Callable[[Config], Backend] = getattr(registry, kind)
    try:
        selected = select(config)
    except ConfigError as error:
        yield unusable(kind, error.sentence)
        return None
    installation.closing.callback(selected.close)
    if installation.data_dir is None and _any_below(config.data_dir, selected):
        return None  # why that cannot be looked into has been told
    return selected


def _any_below(folder: Path, backend: Backend) -> bool:
    return any(path.is_relative_to(folder) for path in written_by(backend).values())


def examined(
    subject: str,
    backend: Backend,
    unusable: Code,
    remark: Code,
    begin: Callable[[], None] | None = None,
) -> Generator[Finding, None, bool]:
    """What a back end says of itself and of what it works with; answers whether it can work.
    `begin` is done after its check, before it is asked what it has found."""
    try:
        backend.check()
    except OpusError as error:
        yield unusable(subject, error.sentence)
        return False
    except Exception as error:  # a plugin's, which stops no other look
        yield unusable(subject, f"its check failed: {_told(error)}")
        return False
    try:
        if begin is not None:
            begin()
    except OpusError as error:
        yield unusable(subject, error.sentence)
        return False
    except Exception as error:  # the same
        yield unusable(subject, f"it cannot begin: {_told(error)}")
        return False
    yield ok(subject, f"{backend.name}: {backend.about}" if " " not in subject else backend.about)
    try:
        for sentence in backend.warnings():
            yield remark(subject, sentence)
        yield from backend.findings()
    except Exception as error:  # the same
        yield STUMBLED(subject, f"asked what it has found, {backend.name} failed: {_told(error)}")
    return True


def _told(error: Exception) -> str:
    return error.sentence if isinstance(error, OpusError) else f"{type(error).__name__}: {error}"
