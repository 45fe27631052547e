"""`opus db copy`: move a site from one storage to another."""

from __future__ import annotations

import argparse
import hashlib
import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from opus_core.app import opened_storage
from opus_core.backends import SUPERVISOR, JobQuery, Storage
from opus_core.config import load
from opus_core.errors import ConfigError
from opus_core.job import Phase
from opus_core.render import xml
from opus_core.render.urls import Urls

_HELD: Final = 5.0  # [s]
_TOLD: Final = {"jobs": "jobs", "journal": "entries of the journal", "accounts": "users"}


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser."""
    parser = subparsers.add_parser("db", help="copy all that a site keeps into another storage")
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


def run_copy(args: argparse.Namespace) -> int:
    """Copy, and compare what is there afterwards."""
    with (
        opened_storage(load(args.source)) as source,
        opened_storage(load(args.target)) as target,
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
