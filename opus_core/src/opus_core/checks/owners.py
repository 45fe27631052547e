"""Whose installation it is: what that user's configuration says is not done by root."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

from opus_core.checks.child import CannotBecome, ChildFailed, answers
from opus_core.checks.installation import Installation, is_root
from opus_core.config import Config
from opus_core.errors import ConfigError
from opus_core.finding import Code, Finding, State

REFUSED: Final = Code(
    "check-as-owner",
    State.ERROR,
    "Root is to look at the installation of another user, and cannot become that user here. Root"
    " does not run what others may have written into `opus.toml`, so only rights were looked at.",
    "Check as that user: `runuser -u NAME -- opus check`.",
)
FAILED: Final = Code(
    "check-failed",
    State.ERROR,
    "The process that looks in the owner's place, when root checks, ended before it was done.",
    "Check as that user: `runuser -u NAME -- opus check`; report it if that fails, too.",
)


def owner(installation: Installation) -> pwd.struct_passwd | None:
    """In whose place root has to look; None: nobody's, so that it may be done as who asks."""
    found = anothers(installation)
    return None if found is None else found[1]


def anothers(installation: Installation) -> tuple[Path, pwd.struct_passwd] | None:
    """What of an installation is not root's, and whose it is, where root asks; None: all is root's.

    Whoever may change the configuration comes first, and else who owns the data folder. But for
    `run_as` the supervisor is root, and does all of it as root at any time: then root may.
    """
    config = installation.config
    if not is_root() or config is None:
        return None
    if config.path is not None:
        for path in _ways(config.path):
            user = _other(path)
            if user is not None:
                return path, user
        if _is_roots_alone(config.path) and _runs_jobs_as_another(installation, config):
            return None
    user = _other(config.data_dir)
    return None if user is None else (config.data_dir, user)


def typed_as(user: pwd.struct_passwd, command: str) -> str:
    """What root types to have a command run by that user, who may have no name here."""
    if user.pw_name == str(user.pw_uid):
        ids = f"--reuid {user.pw_uid} --regid {user.pw_gid} --clear-groups"
        return f"setpriv {ids} {command}"
    return f"runuser -u {user.pw_name} -- {command}"


def in_place_of(
    user: pwd.struct_passwd, look: Callable[[], Iterator[Finding]]
) -> Iterator[Finding]:
    """What is found by a child that has become the user."""
    way_out = f"check as {user.pw_name}: {typed_as(user, 'opus check')}"
    try:
        for found in answers(user, lambda: map(asdict, look())):
            yield Finding(**{**found, "state": State(found["state"])})
    except CannotBecome as error:
        yield REFUSED(
            "check",
            f"this installation is of {user.pw_name}, whom this process cannot become ({error}),"
            f" and root does nothing that others may have written into opus.toml; {way_out}",
        )
    except ChildFailed as error:
        yield FAILED("check", f"looking as {user.pw_name} failed ({error}); {way_out}")


def _ways(file: Path) -> Iterator[Path]:
    """The file and all folders above: whoever owns one of them decides what the file is."""
    file = file.absolute()
    real = file.resolve()
    yield from dict.fromkeys((real, *real.parents, *file.parents))


def _other(path: Path) -> pwd.struct_passwd | None:
    """Its owner, if that is not root."""
    try:
        status = path.stat()
    except OSError:
        return None
    if status.st_uid == 0:
        return None
    try:
        return pwd.getpwuid(status.st_uid)
    except KeyError:  # of a container, or an account that is gone
        name = str(status.st_uid)
        return pwd.struct_passwd((name, "x", status.st_uid, status.st_gid, "", "/", ""))


def _is_roots_alone(file: Path) -> bool:
    """Whether nobody else may write it, who would not have to own it for that."""
    try:
        return not os.stat(file).st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    except OSError:
        return False


def _runs_jobs_as_another(installation: Installation, config: Config) -> bool:
    if installation.registry is None or "manager" in installation.mistaken:
        return False
    try:
        manager = installation.registry.manager(config)
    except ConfigError:
        return False
    return bool(getattr(manager.options, "run_as", ""))
