"""What a data folder holds for itself: the site's secret, and its word of identity.

`secret` signs the tokens wrappers report with. `instance` holds a random word that is part of
every tag under which jobs are submitted, and the places where it is at home: a copy of the folder
elsewhere must not act for the original's jobs.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import json
import os
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from opus_core import disk
from opus_core.errors import ConfigError, OpusError, StorageFull
from opus_core.place import Place

_SHORTEST: Final = 16  # [byte] of a secret
_LARGEST: Final = 2**20  # [byte] of a file

INSTANCE_STREAM: Final = "instance"
"""The stream of the storage that holds the same word, under the key of the same name."""


@dataclass(frozen=True, slots=True)
class Instance:
    """Which installation this is."""

    word: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class DataDir:
    """An opened data folder."""

    path: Path
    secret: bytes
    instance: Instance

    def here(self) -> Place:
        """This folder as it lies now."""
        return Place.of(self.path)

    def at_home(self) -> bool:
        """The folder lies where its word was made or has been adopted."""
        return any(map(self.here().is_surely, self.instance.places))

    def settle(self) -> DataDir:
        """Write down anew where it is at home, by what counts in this boot; safe twice. A folder
        that is not at home stays as it is. Raises `OSError`."""
        here = self.here()
        places = tuple(here if here.is_surely(one) else one for one in self.instance.places)
        if places == self.instance.places:
            return self
        return self._with(replace(self.instance, places=places))

    def adopt(self) -> DataDir:
        """This is the same installation, moved here: keep the word."""
        return self._with(Instance(self.instance.word, (self.here(),)))

    def renew(self) -> DataDir:
        """This is a copy: a new word, so that nothing of the original's is touched."""
        return self._with(Instance(_word(), (self.here(),)))

    def event_token(self, tag: str) -> str:
        """What a wrapper shows to report about the job of this tag."""
        return hmac.new(self.secret, tag.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def _with(self, instance: Instance) -> DataDir:
        _replace(self.path / "instance", _instance_text(instance))
        return replace(self, instance=instance)


def open_data_dir(path: Path) -> DataDir:
    """Open the folder, making what is not there yet; safe from several processes at once.

    Raises `ConfigError` where it cannot be made, read or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        path = path.resolve()
        _once(path / "secret", secrets.token_hex(32))
        _once(path / "instance", _instance_text(Instance(_word(), (Place.of(path),))))
    except OSError as error:
        raise _unusable(path, error) from error
    return read_data_dir(path)


def read_data_dir(path: Path) -> DataDir:
    """The folder as it is; nothing is made. Raises `ConfigError` where it cannot be read."""
    try:
        path = path.resolve()
        secret = _read(path / "secret")
        document = json.loads(_read(path / "instance"))
        instance = Instance(document["word"], tuple(map(Place.read, document["places"])))
        return DataDir(path, _key(path / "secret", secret), instance)
    except OSError as error:
        raise _unusable(path, error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}/instance or {path}/secret is damaged; restore it from a back-up"
        ) from error


def _read(path: Path) -> str:
    return disk.read_whole(path, _LARGEST, follow=True).decode()


def _key(path: Path, text: str) -> bytes:
    mode = path.stat().st_mode
    if mode & 0o007:
        raise ConfigError(
            f"every user of this machine may read or change {path} (mode {mode & 0o777:o}), which"
            f" signs tokens: chmod o= {path}, and if somebody may have read it, remove it while no"
            " job runs: the next start makes a new one"
        )
    key = bytes.fromhex(text.strip())
    if len(key) < _SHORTEST:
        raise ConfigError(
            f"{path} holds {len(key)} bytes, and with less than {_SHORTEST} anybody could guess"
            " what it signs; restore it from a back-up, or remove it while no job runs: the next"
            " start makes a new one"
        )
    return key


def _word() -> str:
    return secrets.token_hex(4)


def _instance_text(instance: Instance) -> str:
    return json.dumps(asdict(instance), indent=1) + "\n"


def _once(path: Path, text: str) -> str:
    """The file's content, written first if it is not there: whole or not at all, by one of us."""
    with contextlib.suppress(FileNotFoundError):
        return _read(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    _write(temporary, text)
    try:
        os.link(temporary, path)
        disk.sync(path.parent)
    except FileExistsError:
        return _read(path)
    finally:
        temporary.unlink()
    return text


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    _write(temporary, text)
    temporary.rename(path)
    disk.sync(path.parent)


def _write(path: Path, text: str) -> None:
    # For the group too: web and supervisor may be two users of one group.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o660)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()  # half of one, on a disk that is full
        raise


def _unusable(path: Path, error: OSError) -> OpusError:
    at = "" if error.filename in (None, str(path)) else f" ({error.filename})"
    sentence = f"data_dir {path} cannot be used: {error.strerror}{at}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(sentence)
    return ConfigError(sentence)
