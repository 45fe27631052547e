"""The root of jobs' folders: made, marked, and whose it is.

Beside the mark lies `.opus-instance`, with the word of the installation that keeps its jobs there
and the place where that was written. Two installations in one root would each remove what the other
one keeps. A copy of a root has the original's word, and lies elsewhere than that says.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from opus_core import disk
from opus_core.backends import Storage
from opus_core.config import Config
from opus_core.datadir import DataDir
from opus_core.errors import ConfigError, StorageFull
from opus_core.folder import MARK, Folders
from opus_core.place import Place

log = logging.getLogger(__name__)

ROOTS: Final = "roots"
"""The stream of the storage that knows, by their paths, the marked roots of jobs' folders."""

OWNER: Final = ".opus-instance"
"""The file in a root that says whose it is."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose root it is, and where it was when that was written."""

    word: str
    place: Place


def owner_of(root: Path) -> Owner | None:
    """Whose it is; None if that was never written. Raises `ConfigError` if it cannot be read."""
    file = root / OWNER
    try:
        document = json.loads(file.read_text())
        return Owner(document["word"], Place.read(document["place"]))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}; see [jobs] folder") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{file} is damaged; remove it if the jobs in [jobs] folder are those of this"
            " installation: the next start writes it anew"
        ) from error


def own(root: Path, data_dir: DataDir) -> None:
    """Write down whose it is and where; safe twice. Nothing is written into a root without its
    mark, whose file system may not be mounted."""
    if not os.path.exists(root / MARK):
        return
    owner = Owner(data_dir.instance.word, Place.of(root))
    if owner_of(root) != owner:
        with disk.noticing_full(root):
            disk.put(root / OWNER, json.dumps(asdict(owner), indent=1).encode() + b"\n")
            disk.sync(root)


def job_folders(config: Config, storage: Storage, data_dir: DataDir) -> Folders:
    """The folders of jobs. Their root is marked when a storage first hears of it, and never
    afterwards: an empty folder may be one whose file system is not mounted.

    Raises `ConfigError` if they cannot be kept there, or if others are kept there already.
    """
    root = config.jobs_folder
    folders = Folders(root, marked=True)
    known = is_known_root(root, storage)
    try:
        root.mkdir(parents=True, exist_ok=True)
        refuse_anothers(root, data_dir)
        if not known:
            folders.mark()
            note_jobs_folder(config, storage)
        with disk.noticing_full(root), tempfile.TemporaryFile(dir=root):
            pass
        # A copy writes nothing: it has the original's word, and may have the original's root.
        if data_dir.at_home():
            own(root, data_dir)
    except StorageFull as error:
        # It stops no server, which goes on reading.
        log.warning("%s", error.sentence)
        return folders if known else Folders(root)
    except OSError as error:
        raise ConfigError(
            f"the job folders cannot be kept in {root}: {error.strerror}; see [jobs] folder"
        ) from error
    return folders


def take_copied(root: Path, data_dir: DataDir) -> None:
    """The root that a copied installation begins with is its own: who was to remove its mark gets
    it back, and an empty one may be of a file system that is not mounted."""
    if any(root.iterdir()):
        Folders(root).mark()
    own(root, data_dir)


def refuse_anothers(root: Path, data_dir: DataDir) -> None:
    """Raise `ConfigError` if another installation keeps its jobs there."""
    owner = owner_of(root)
    if owner is not None and owner.word != data_dir.instance.word:
        raise ConfigError(
            f"[jobs] folder {root} is that of another installation, whose jobs would be removed"
            f" from it; name another one, or if that installation is gone, remove {root / OWNER}"
        )


def refuse_the_originals(root: Path, data_dir: DataDir) -> None:
    """Raise `ConfigError` if the root of a copied installation may still be the original's: the
    copy would remove what it knows nothing of."""
    if not root.exists() or data_dir.at_home() or _is_part_of(root, data_dir.path):
        return
    refuse_anothers(root, data_dir)
    owner = owner_of(root)
    if owner is None and os.path.exists(root / MARK):
        raise ConfigError(
            f"[jobs] folder {root} may be that of the original, whose jobs would be removed from"
            f" it, for nothing in it says whose it is: start the original once, which writes it"
            f" there; or if this is the copy's own, remove {root / MARK}"
        )
    if owner is not None and owner.place.may_be(Place.of(root)):
        raise ConfigError(
            f"[jobs] folder {root} is that of the original, whose jobs would be removed from it;"
            f" name the copy's own in opus.toml. (If it is the copy's own, on another host or of"
            f" before this one was started: remove {root / OWNER} and {root / MARK})"
        )


def _is_part_of(root: Path, data_dir: Path) -> bool:
    """Whether it was copied with the data folder, as nothing is that is mounted there."""
    is_inside = root.resolve().is_relative_to(data_dir.resolve())
    return is_inside and root.stat().st_dev == data_dir.stat().st_dev


def note_jobs_folder(config: Config, storage: Storage) -> None:
    """Write down which folder it is that jobs lie in."""
    storage.append(ROOTS, {}, key=str(config.jobs_folder))


def is_known_root(root: Path, storage: Storage) -> bool:
    """Whether jobs' folders were ever kept there, so that it has a mark, or should."""
    return any(record.key == str(root) for record in storage.records(ROOTS))
