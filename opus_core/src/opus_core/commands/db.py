"""`opus db`: move a site from one storage to another, back its storage up, and restore it."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from opus_core import disk
from opus_core.app import opened_storage
from opus_core.backends import SUPERVISOR, JobQuery, Storage
from opus_core.commands.configuration import configuration
from opus_core.config import Config, Selection
from opus_core.errors import BadRequest, ConfigError
from opus_core.job import Phase
from opus_core.render import xml
from opus_core.render.urls import Urls

_HELD: Final = 5.0  # [s]
_MAGIC: Final = b"SQLite format 3\0"  # what a file of SQLite begins with
_TOLD: Final = {"jobs": "jobs", "journal": "entries of the journal", "accounts": "users"}


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser."""
    parser = subparsers.add_parser(
        "db", help="copy all that a site keeps into another storage, or into a file and back"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    copy = actions.add_parser(
        "copy",
        help="copy the storage of one configuration into that of another",
        description="Copies all of the storage that FROM configures into the one that TO does,"
        " which has to be empty. Stop all servers and supervisors of the site before, and start"
        " them with TO afterwards; the data folder stays where it is.",
    )
    copy.add_argument("source", type=Path, metavar="FROM", help="an opus.toml")
    copy.add_argument("target", type=Path, metavar="TO", help="another one, with another [storage]")
    copy.set_defaults(run=run_copy)
    backup = actions.add_parser(
        "backup",
        help="copy the storage into a file, also while the site is up",
        description="Copies all of the storage, as it is at one moment, into a file of SQLite,"
        " whatever the storage is. Servers and supervisors may be at work. Back the data folder up"
        " afterwards, not before.",
    )
    backup.add_argument("file", type=Path, metavar="FILE", help="where; on a disk of this machine")
    backup.set_defaults(run=run_backup)
    restore = actions.add_parser(
        "restore",
        help="fill an empty storage from such a file",
        description="Fills the storage that the configuration names, which has to be empty, from a"
        " file that `opus db backup` has made, and which stays as it is.",
    )
    restore.add_argument("file", type=Path, metavar="FILE", help="what `opus db backup` has made")
    restore.set_defaults(run=run_restore)


def run_copy(args: argparse.Namespace) -> int:
    """Copy, and compare what is there afterwards."""
    with (
        opened_storage(configuration(args.source)) as source,
        opened_storage(configuration(args.target)) as target,
    ):
        _check_idle(source)
        before = fingerprint(source)
        copied = source.copy_into(target)
        after, still = fingerprint(target), fingerprint(source)
        if still != before:
            raise ConfigError(
                f"somebody has changed {source.name} meanwhile; stop all servers, empty"
                f" {target.name}, and copy again"
            )
        if after != before:
            raise ConfigError(
                f"not every job is the same in {target.name}: {_shown(after)} and not"
                f" {_shown(before)}; stay with {source.name}, and tell us of it"
            )
    print(f"copied: {_counted(copied)}")
    print(f"every job is the same there: {_shown(after)}")
    return 0


def run_backup(args: argparse.Namespace) -> int:
    """Copy into a new file, which is there whole or not at all."""
    config, file = configuration(args.config), args.file.absolute()
    if file.exists():
        raise BadRequest(f"{file} is there already; name another file")
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".opus-backup-", dir=file.parent) as folder,
            disk.noticing_full(file.parent),
        ):
            made = Path(folder) / file.name
            with opened_storage(config) as source, _file(config, made) as target:
                copied = source.copy_into(target)
            os.link(made, file)
            disk.sync(file.parent)
    except OSError as error:
        raise BadRequest(f"{file} cannot be written: {error.strerror}") from error
    print(f"backed up: {_counted(copied)}")
    return 0


def run_restore(args: argparse.Namespace) -> int:
    """Copy into the storage that is configured, and compare what is there afterwards."""
    config, file = configuration(args.config), args.file.absolute()
    if not _is_a_backup(file):
        raise BadRequest(f"{file} is no file that `opus db backup` has made; name one")
    with tempfile.TemporaryDirectory(prefix="opus-restore-") as folder:
        # A copy of it, which may have to be brought up to date before it can be read.
        copy = Path(folder) / "backup.sqlite"
        try:
            shutil.copyfile(file, copy)
        except OSError as error:
            raise BadRequest(f"{file} cannot be copied: {error.strerror}") from error
        with _file(config, copy) as source, opened_storage(config) as target:
            copied = source.copy_into(target)
            if fingerprint(target) != fingerprint(source):
                raise ConfigError(
                    f"not every job is the same in {target.name} as in {file}; empty {target.name},"
                    " restore again with no server running, and if that does not help, tell us"
                )
    print(f"restored: {_counted(copied)}")
    return 0


def _is_a_backup(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}; name a back-up") from error


@contextmanager
def _file(config: Config, path: Path) -> Iterator[Storage]:
    """A storage that is one file, opened for a moment."""
    one = Selection(use="sqlite", options={"path": str(path)})
    with opened_storage(replace(config, storage=one)) as storage:
        yield storage


def _check_idle(storage: Storage) -> None:
    """Raise `ConfigError` while a supervisor acts."""
    holder = f"opus db copy {socket.gethostname()} {os.getpid()}"
    lease = storage.lease(SUPERVISOR, holder, _HELD)
    if lease.holder != holder:
        raise ConfigError(
            f"a supervisor is acting ({lease.holder}); stop all servers and supervisors, and wait"
            f" until {lease.until:%H:%M:%S} UTC"
        )
    storage.release(SUPERVISOR, holder)


def fingerprint(storage: Storage) -> tuple[int, str]:
    """How many jobs there are, and a hash of the XML of all, in the order of their making."""
    every = JobQuery(phases=frozenset(Phase))
    total, found = 0, hashlib.sha256()
    for summary in storage.get_list(every):
        job = storage.read(summary.id)
        # Where a server is does not matter, nor does how often it was saved before.
        found.update(xml.job(job, Urls("")))
        found.update(repr(replace(job, job_info=dict(sorted(job.job_info.items())))).encode())
        total += 1
    return total, found.hexdigest()


def _shown(found: tuple[int, str]) -> str:
    number, digest = found
    return f"{number} jobs, sha256 {digest[:16]}..."


def _counted(copied: Mapping[str, int]) -> str:
    told = [f"{copied[table]} {words}" for table, words in _TOLD.items() if table in copied]
    rest = sum(number for table, number in copied.items() if table not in _TOLD)
    return ", ".join([*told, f"{rest} other rows"])
