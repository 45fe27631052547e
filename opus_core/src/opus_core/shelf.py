"""How one job description lies on disk, and the formats it may be in.

A folder named by a number: the document in some format, the files that go beside it (`script`),
and `meta.json`, which says who wrote it, when, in which format, and the SHA-256 of each file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from opus_core import job as jobs
from opus_core.backends import Bundle, Jdl
from opus_core.below import Below
from opus_core.definition import JobDefinition, check_file_name, check_name
from opus_core.errors import JdlError, NotFound, OpusError, PluginError

_HEAD: Final = 4096  # [byte] of a document that a format is asked to recognise
_META: Final = "meta.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What `meta.json` says."""

    author: str
    time: datetime
    jdl: str
    document: str
    files: Mapping[str, str]  # SHA-256 by file name, the document included


class Shelf:
    """Packs descriptions for the disk in one format, and unpacks them from any installed one."""

    def __init__(self, jdl: Jdl, readers: Sequence[Jdl]) -> None:
        self._jdl = jdl
        self._readers = {one.name: one for one in (*readers, jdl)}

    @property
    def formats(self) -> list[Jdl]:
        """The installed formats, the one that writes before the others."""
        return sorted(self._readers.values(), key=lambda one: (one is not self._jdl, one.name))

    def format(self, name: str) -> Jdl:
        """An installed format. Raises `NotFound`, naming those there are."""
        if name not in self._readers:
            raise NotFound(f"no format {name!r} is installed; there are: {self._names()}")
        return self._readers[name]

    def load(
        self, data: bytes, files: Mapping[str, bytes], *, name: str | None = None
    ) -> JobDefinition:
        """Read a document in any installed format; see `Catalogue.load`."""
        head = data[:_HEAD]
        jdl = next((one for one in self.formats if one.recognises(head)), None)
        if jdl is None:
            raise JdlError(
                "this is not a job description in any installed format; there are: " + self._names()
            )
        definition = unix(jdl.loads(data, files))
        return definition if name is None else replace(definition, name=check_name(name))

    def pack(self, definition: JobDefinition, author: str) -> dict[str, bytes]:
        """The files to write, once it is sure that they read back as they are."""
        jdl = self._jdl
        bundle = jdl.dumps(definition)
        if jdl.loads(bundle.data, bundle.files) != definition:
            raise JdlError(
                f"the format {jdl.name} does not give {definition.name!r} back as it is; choose"
                " another, and tell the authors of this one"
            )
        document = f"definition{jdl.suffix}"
        files = {document: bundle.data}
        for name, data in bundle.files.items():
            if check_file_name(name) in (_META, document):
                raise JdlError(f"the format {jdl.name} wants to write a file {name!r} of its own")
            files[name] = data
        meta: dict[str, Any] = {
            "author": author,
            "time": jobs.now().isoformat(),
            "jdl": jdl.name,
            "document": document,
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        }
        return files | {_META: json.dumps(meta, indent=1).encode() + b"\n"}

    def unpack(self, parent: Below, number: int, name: str) -> tuple[Jdl, Bundle]:
        """What lies in the folder of that number.

        Raises `FileNotFoundError`; `PluginError` if the format it was written in is no longer
        installed; `OpusError` if it is not what was written.
        """
        meta = read_meta(parent, number, name)
        with parent.folder(str(number)) as below:
            files = {file: below.read(file) for file in meta.files}
        for file, data in files.items():
            if hashlib.sha256(data).hexdigest() != meta.files[file]:
                raise _damaged(number, name)
        if meta.jdl not in self._readers:
            raise PluginError(
                f"{name!r} is kept in the format {meta.jdl!r}, which is not installed; install it"
            )
        return self._readers[meta.jdl], Bundle(data=files.pop(meta.document), files=files)

    def _names(self) -> str:
        return ", ".join(jdl.name for jdl in self.formats)


def read_meta(parent: Below, number: int, name: str) -> Meta:
    """The `meta.json` of the folder of that number. Raises `FileNotFoundError`, `OpusError`."""
    with parent.folder(str(number)) as below:
        text = below.read(_META)
    try:
        document = json.loads(text)
        meta = Meta(**document | {"time": datetime.fromisoformat(document["time"])})
        if meta.document not in meta.files:
            raise KeyError(meta.document)
        for file in meta.files:
            check_file_name(file)
    except (ValueError, KeyError, TypeError, OpusError) as error:
        raise _damaged(number, name) from error
    return meta


def numbers(folder: Below) -> list[int]:
    """The numbers in a folder, in order."""
    return sorted(int(name) for name in folder.names() if name.isascii() and name.isdecimal())


def unix(definition: JobDefinition) -> JobDefinition:
    """With the line ends of Unix: a shell takes a carriage return for a part of the command."""
    return replace(definition, script=definition.script.replace("\r\n", "\n"))


def under(definition: JobDefinition, name: str) -> JobDefinition:
    """Called as the folder it lies in, whatever the document says."""
    return definition if definition.name == name else replace(definition, name=name)


def _damaged(number: int, name: str) -> OpusError:
    return OpusError(f"the files of {name!r}, {number}, were changed; restore them from a back-up")
