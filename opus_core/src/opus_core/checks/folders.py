"""The data folder and the folders of jobs: there, open to whom they must be and closed to others,
with room left, on a file system that does what OPUS needs."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from opus_core.checks.installation import Installation, written_by
from opus_core.datadir import open_data_dir, read_data_dir
from opus_core.disk import ROOM
from opus_core.errors import ConfigError, OpusError
from opus_core.finding import Code, Finding, State, ok
from opus_core.folder import Folders
from opus_core.process import system_name
from opus_core.roots import is_known_root, job_folders, refuse_anothers

_OURS: Final = frozenset({"secret", "instance", "definitions", "jobs"})
_FEW: Final = 1000  # files that can still be made; a job has some tens

MISSING: Final = Code(
    "data-folder-missing",
    State.WARNING,
    "There is no data folder, or nothing of OPUS is in it: the first start makes one, without jobs,"
    " accounts and descriptions. All else is tried in a temporary folder.",
    "If there was one, mend `data_dir`; else make it by `opus init`, or start as the right user.",
)
DAMAGED: Final = Code(
    "data-folder-damaged",
    State.ERROR,
    "The data folder's own files, `secret` and `instance`, cannot be used.",
    "Restore them from a back-up, or do what the sentence says.",
)
SECRET_OPEN: Final = Code(
    "secret-readable-by-all",
    State.ERROR,
    "Every user of the machine may read the file that signs tokens. No server starts.",
    "`chmod o=` it; remove it while no job runs if somebody may have read it.",
)
OPEN: Final = Code(
    "data-folder-readable-by-all",
    State.ERROR,
    "Every user of the machine may look into the data folder, folders of jobs, or the database.",
    "`chmod o=` it.",
)
OF_OTHERS: Final = Code(
    "data-file-of-another",
    State.WARNING,
    "A file in the data folder belongs to somebody else, and the folder's owner cannot write it: a"
    " command was run as root, say.",
    "`chown` it to the owner of the folder; run commands as that user.",
)
UNMOUNTED: Final = Code(
    "jobs-folder-unmounted",
    State.ERROR,
    "Jobs were kept in `[jobs] folder`, and its mark is gone: its file system is not mounted.",
    "Mount it. Nothing is concluded from jobs' folders before.",
)
ANOTHERS: Final = Code(
    "jobs-folder-of-another",
    State.ERROR,
    "Another installation keeps its jobs in `[jobs] folder`: no server starts, lest each"
    " removes the jobs of the other.",
    "Name another folder; if that installation is gone, remove `.opus-instance` in this one.",
)
JOBS_MISSING: Final = Code(
    "jobs-folder-missing",
    State.WARNING,
    "`[jobs] folder` is not there yet; the next start makes it.",
    "If it should be there, mend `[jobs] folder`, or mount its file system before the start.",
)
WITHOUT_LINKS: Final = Code(
    "jobs-folder-without-links",
    State.ERROR,
    "The file system of the folders of jobs makes no hard links, by which a script runs once.",
    "Keep them on another one: ext4, XFS, NFS, Lustre; not FAT, nor what a cloud's bucket is.",
)
FULL: Final = Code(
    "disk-full",
    State.ERROR,
    "Less is free than `[jobs] min_free`: nothing is submitted; or the storage cannot be written.",
    "Make room, or have jobs destroyed earlier.",
)
NO_FILES: Final = Code(
    "inodes-few",
    State.ERROR,
    "The file system can hold hardly any further file, whatever room it has.",
    "Remove files, or make it anew with more inodes.",
)


def data(installation: Installation) -> Iterator[Finding]:
    """Open the data folder; a temporary one in the place of one that is not there."""
    config = installation.config
    if config is None or "data_dir" in installation.mistaken:
        return
    path = config.data_dir
    if _is_new(path) and not installation.probes:
        yield MISSING(
            "data_dir",
            f"there is nothing of OPUS in {path} yet; if there was, mend data_dir; else"
            " `opus init`, or the first start, makes it, as the user who starts",
        )
        path = _trial(installation)
        installation.trial = True
        config = installation.config = replace(config, data_dir=path)
    try:
        read = open_data_dir if installation.makes else read_data_dir
        installation.data_dir = read(path)
    except OpusError as error:
        yield from _unreadable(path, error)
        return
    if not installation.trial:
        yield ok("data_dir", str(installation.data_dir.path))


def _unreadable(path: Path, error: OpusError) -> Iterator[Finding]:
    """Why the data folder's own files cannot be used."""
    if isinstance(error.__cause__, PermissionError):
        return  # `rights` has more to say of that
    if isinstance(error.__cause__, FileNotFoundError):
        yield DAMAGED(
            "data_dir",
            f"there is no {error.__cause__.filename}; bring it back from a back-up, for the next"
            " start makes a new one, with which nothing goes on that ran by the old one",
        )
        return
    code = SECRET_OPEN if _mode(path / "secret") & stat.S_IRWXO else DAMAGED
    yield code("data_dir", error.sentence)


def _is_new(path: Path) -> bool:
    """Whether nothing of OPUS is there; what cannot be looked into is not new."""
    try:
        return _OURS.isdisjoint(os.listdir(path))
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _trial(installation: Installation) -> Path:
    folder = Path(
        installation.closing.enter_context(tempfile.TemporaryDirectory(prefix="opus-check-"))
    )
    folder.chmod(0o711)  # jobs may run as another user, who passes through and sees nothing
    return folder


def closed(installation: Installation) -> Iterator[Finding]:
    """What nobody else may look into, and what its owner cannot write."""
    config, data_dir, storage = installation.config, installation.data_dir, installation.storage
    if config is None or data_dir is None or installation.trial:
        return
    paths = [data_dir.path, config.jobs_folder]
    if storage is not None:
        paths += written_by(storage).values()
    open_ones = [one for one in dict.fromkeys(paths) if _is_open(one)]
    for path in open_ones:
        yield OPEN("files", f"every user of this machine may look into {path}: chmod o= {path}")
    if not open_ones:
        yield ok("files", "are closed to other users of this machine")
    yield from _of_others(data_dir.path)


def _of_others(folder: Path) -> Iterator[Finding]:
    status = folder.stat()
    if status.st_uid == 0:
        return
    for path in sorted(folder.iterdir()):
        with suppress(FileNotFoundError):  # of SQLite's, or a draft that has got its name
            one = path.lstat()
            by_group = one.st_gid == status.st_gid and one.st_mode & stat.S_IWGRP
            if one.st_uid != status.st_uid and not by_group and not one.st_mode & stat.S_IWOTH:
                owner = system_name(status.st_uid)
                yield OF_OTHERS(
                    "files",
                    f"{path} belongs to {system_name(one.st_uid)}, and {owner}, whose {folder} is,"
                    f" cannot write it: chown {owner} {path}",
                )


def _is_open(path: Path) -> bool:
    """Whether those who are neither owner nor of the group may read or change it, or find something
    in it that they may. To pass through (`o+x`), as jobs of another user have to, is no harm."""
    try:
        mode = path.stat().st_mode
        inside = list(path.iterdir()) if path.is_dir() and mode & stat.S_IXOTH else []
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            return True
        return any(one.is_file() and one.stat().st_mode & stat.S_IRWXO for one in inside)
    except OSError:
        return False


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def jobs(installation: Installation) -> Iterator[Finding]:
    """Open the folders of jobs, and see what their file system can do."""
    config, storage = installation.config, installation.storage
    if config is None or "jobs" in installation.mistaken or installation.data_dir is None:
        return
    root = config.jobs_folder
    try:
        refuse_anothers(root, installation.data_dir)
    except ConfigError as error:
        if not isinstance(error.__cause__, OSError):  # of which `rights` has more to say
            yield ANOTHERS("jobs folder", error.sentence)
            return
    if storage is None:
        # Whether it was ever marked nobody knows.
        installation.folders = Folders(root) if root.is_dir() else None
        return
    if is_known_root(root, storage):
        folders = Folders(root, marked=True)
        try:
            folders.check()
        except OpusError as error:
            yield UNMOUNTED("jobs folder", f"{error.sentence} ({root})")
            return
        installation.folders = folders
    elif installation.makes and (installation.probes or root.is_relative_to(config.data_dir)):
        installation.folders = job_folders(config, storage, installation.data_dir)
    elif root.is_dir():
        installation.folders = Folders(root)
    elif config.jobs.folder is not None:
        yield JOBS_MISSING(
            "jobs folder",
            f"there is no {root} yet, and the next start makes it; if it should be there, mend"
            " [jobs] folder, or mount its file system before",
        )
    if installation.folders is not None:
        yield from _links(root)


def _links(root: Path) -> Iterator[Finding]:
    """Claims are links (`opus_core.links`): without them no job ever runs."""
    name = f".check.{secrets.token_hex(8)}"
    made: list[Path] = []
    try:
        for path in (root / name, root / f"{name}.link"):
            if made:
                os.link(made[0], path)
            else:
                path.touch(0o600)
            made.append(path)
    except OSError as error:
        if made:  # or nothing can be written there, which others have told
            yield WITHOUT_LINKS(
                "jobs folder",
                f"{root} is on a file system that makes no hard links ({error.strerror}), and"
                " without them no job runs; let [jobs] folder name one on another file system",
            )
    finally:
        for path in made:
            path.unlink()


def room(installation: Installation) -> Iterator[Finding]:
    """Bytes and inodes that are left where OPUS writes."""
    config = installation.config
    if config is None or installation.data_dir is None:
        return
    least = max(ROOM, config.jobs.min_free)
    places = {"folders of jobs": (_there(config.jobs_folder), least)}
    if not installation.trial:
        places["data_dir"] = (config.data_dir, ROOM)
    if installation.storage is not None:
        for path in written_by(installation.storage).values():
            places["storage"] = (_there(path), ROOM)
    for name, (path, fewest) in places.items():
        disk = os.statvfs(path)
        free = disk.f_bavail * disk.f_frsize
        if free < fewest:
            what = f"[jobs] min_free ({fewest})" if fewest > ROOM else f"{ROOM}"
            stops = (
                "nothing is submitted" if name == "folders of jobs" else "nothing can be changed"
            )
            yield FULL(
                "disk",
                f"{path} has {free} bytes free for the {name}, less than {what}: {stops} until"
                " there is room",
            )
        if disk.f_files and disk.f_favail < _FEW:
            yield NO_FILES(
                "disk",
                f"{path} can hold {disk.f_favail} further files, of {disk.f_files}, whatever room"
                f" there is: remove some (the {name} lie there)",
            )


def _there(path: Path) -> Path:
    """The path, or the nearest folder above that is there."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
