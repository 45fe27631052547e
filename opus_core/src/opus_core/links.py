"""The three links of a job's folder that make things happen once: `claim`, `started`, `exit`.

Each is made in one atomic step, name and content together, and whoever makes it has won:

    claim    a symbolic link whose target is the claimant: this submission is the job's
    started  a symbolic link whose target is `host/boot/pid/start time`: the script runs
    exit     a hard link to a file written before: how the script ended

The wrapper makes them (`opus_core.wrapper`); the supervisor makes the first two with the target
`sealed`, after which nothing of the job can begin. Symbolic links because `symlink(2)` is atomic
on every file system, NFS included, and carries its content with it.
"""

from __future__ import annotations

import errno
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from opus_core import disk
from opus_core.errors import BackendUnavailable
from opus_core.job import cut

SEALED: Final = "sealed"
_STOPS: Final = (signal.SIGTERM, signal.SIGKILL)
_LARGEST_EXIT: Final = 65536  # [byte]; the wrapper writes some hundred


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How the script ended, as the wrapper that ran it wrote it down."""

    claimant: str
    code: int | None = None
    signal: int | None = None
    reason: str = ""  # "limit", "term", "requeued", or none
    started: datetime | None = None
    ended: datetime | None = None
    oom: bool = False  # the kernel has killed some of what it had started, for want of memory

    @property
    def stopped(self) -> bool:
        """Somebody stopped it, or may have: a scheduler that signals all processes of a job can
        end the script before it has told the wrapper."""
        by_signal = not self.reason and not self.oom and self.signal in _STOPS
        return self.reason == "term" or by_signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What stands in a job's folder at one look; None: not made."""

    claimant: str | None = None
    started: str | None = None
    exit: Exit | None = None

    @property
    def sealed(self) -> bool:
        """Nothing of this job can begin any more."""
        return SEALED in (self.claimant, self.started)

    @property
    def begun(self) -> bool:
        """The script runs or ran."""
        return self.started is not None and self.started != SEALED

    @property
    def claimed(self) -> bool:
        """A submission holds the job."""
        return self.claimant is not None and self.claimant != SEALED


def peek(folder: Path) -> Links:
    """What stands in `folder`; never writes, and a folder that is not there has no links.

    Raises `BackendUnavailable` if it cannot be looked into: then nothing may be concluded.

    An exit counts only if its claimant is the claim's, so that nobody else's word is taken for
    the wrapper's. It is read before the claim is looked at again: a claim never changes once it
    is made, so the order does not matter for what is true, only for what is complete.
    """
    # Texts and no context manager, for this is asked of every job at each poll.
    try:
        claimant = _target(f"{folder}/claim")
        started = _target(f"{folder}/started")
        found = _read_exit(folder / "exit") if claimant is not None else None
    except OSError as error:
        raise _closed(folder, error) from error
    valid = found if found is not None and found.claimant == claimant else None
    return Links(claimant=claimant, started=started, exit=valid)


def seal(folder: Path) -> Links:
    """Make sure that nothing of this job begins any more, if it has not begun; idempotent.

    The answer tells who won: `sealed` or, if the script was faster, `begun`. A folder that is
    gone is sealed, since a wrapper never runs without one. On the disk when this returns: whoever
    was told that the job is sealed lets it be forgotten. Raises `BackendUnavailable`.
    """
    try:
        for name in ("claim", "started"):
            try:
                os.symlink(SEALED, folder / name)
            except FileExistsError:
                if _target(folder / name) == SEALED:
                    break
            except FileNotFoundError:
                return Links(claimant=SEALED)
            else:
                break
        found = peek(folder)
        if found.sealed:
            with suppress(FileNotFoundError):
                disk.sync(folder)
    except OSError as error:
        raise _closed(folder, error) from error
    return found


def _closed(folder: Path, error: OSError) -> BackendUnavailable:
    return BackendUnavailable(f"the folder {folder} cannot be looked into: {error.strerror}")


def _target(link: Path | str) -> str | None:
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:  # there, but no link: nothing of ours makes such a thing
            return None
        raise


def _read_exit(path: Path) -> Exit | None:
    """Parse an exit file; None if there is none or it is not one of the wrapper's."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
    with os.fdopen(descriptor, "rb") as file:
        return parse_exit(file.read(_LARGEST_EXIT))


def parse_exit(data: bytes) -> Exit | None:
    """Read `key=value` lines; None if they do not add up to the end of a script.

    The file was allocated with blanks before the script ran, so that a full disk cannot keep the
    wrapper from recording how it ended: blanks after the last line are padding.
    """
    fields: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        key, equals, value = line.strip().partition("=")
        if equals:
            fields.setdefault(key, value)
    # `end` closes the record: a file cut short by a crash has no such line.
    if fields.get("end") != "exit" or not fields.get("claimant"):
        return None
    try:
        return Exit(
            claimant=fields["claimant"],
            code=int(fields["code"]) if fields.get("code") else None,
            signal=int(fields["signal"]) if fields.get("signal") else None,
            reason=fields.get("reason", ""),
            started=_instant(fields.get("started", "")),
            ended=_instant(fields.get("ended", "")),
            oom=fields.get("oom") == "1",
        )
    except (ValueError, OverflowError):
        return None


def _instant(text: str) -> datetime | None:
    """Seconds since 1970, with or without a fraction; a comma where the locale says so."""
    if not text:
        return None
    return cut(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(text.replace(",", "."))))
