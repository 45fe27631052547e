"""Small extensions: the references that the saboteurs of their contracts break."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path

from opus_core import hookimpl
from opus_core.backends import User
from opus_core.errors import ConfigError, NotAuthenticated, Unavailable
from opus_core.extensions import Extension
from opus_core.job import Phase


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    file: Path


class Seal(Extension):
    """Knows who shows `Seal NAME HMAC`, by a key in a file."""

    name = "seal"
    about = "knows users by a seal under their name"
    Options = FileOptions

    def check(self):
        if not self.options.file.is_file():
            raise ConfigError(f"there is no key in {self.options.file.name}; write one into it")

    def key(self):
        try:
            return self.options.file.read_bytes()
        except OSError as error:
            raise Unavailable(f"the key cannot be read: {error.strerror}") from error

    @classmethod
    def credentials(cls, key, name):
        digest = hmac.new(key, name.encode(), hashlib.sha256).hexdigest()
        return {"authorization": f"Seal {name} {digest}"}

    @hookimpl
    def opus_authenticate(self, request):
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        if scheme != "Seal":
            return None
        name, _, shown = rest.partition(" ")
        digest = hmac.new(self.key(), name.encode(), hashlib.sha256).hexdigest()
        if not name.isprintable() or not hmac.compare_digest(digest.encode(), shown.encode()):
            raise NotAuthenticated("this seal is not ours; have your name sealed again")
        return self.user(name)

    def user(self, name):
        return User(name=name, scopes=frozenset({"read"}))


class Diary(Extension):
    """Writes each change into a file, once."""

    name = "diary"
    about = "writes down what becomes of jobs"
    Options = FileOptions

    def check(self):
        if not self.options.file.parent.is_dir():
            raise ConfigError(f"there is no folder {self.options.file.parent}; make it")

    @hookimpl
    def opus_job_phase_changed(self, change):
        self.write(change)

    def write(self, change):
        try:
            with self.options.file.open("a") as file:
                print(change.job_id, change.new or "deleted", file=file)
        except OSError as error:
            raise Unavailable(f"the diary cannot be written: {error.strerror}") from error


def read(file):
    """What is in a diary: (job id, new phase)."""
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [(job_id, None if new == "deleted" else Phase(new)) for job_id, new in lines]
