"""The job description format `votable`: what the original OPUS writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from opus_core import hookimpl
from opus_core.backends import Bundle, Jdl
from opus_core.definition import JobDefinition
from opus_core.errors import CannotCarry
from opus_jdl_votable import reader, writer
from opus_jdl_wadl import texts
from opus_jdl_wadl.document import MAX_SIZE

_FORMAT: Final = f"a VOTable of at most {MAX_SIZE} bytes"
_NO_FILES: Final[Mapping[str, bytes]] = MappingProxyType({})
_ROOT: Final = re.compile(rb"<(?:[\w.-]+:)?VOTABLE[\s>]")
_ACTIVITY: Final = re.compile(rb"<(?:[\w.-]+:)?RESOURCE\s[^>]*ActivityDescription")


class VotableJdl(Jdl):
    """One document with all of it, the script included. What cannot be carried is more than
    `MAX_SIZE` bytes."""

    name = "votable"
    about = "Job descriptions as VOTable, as the original OPUS writes them"
    suffix = ".vot"
    media_type = "application/x-votable+xml"

    def recognises(self, head: bytes) -> bool:
        """Whether it is a VOTABLE whose first RESOURCE is the description of an activity."""
        plain = head.replace(b"\0", b"")
        return bool(_ROOT.search(plain) and _ACTIVITY.search(plain))

    def loads(self, data: bytes, files: Mapping[str, bytes] = _NO_FILES) -> JobDefinition:
        """Read a document; files beside it are not looked at, but for a `script` where the
        document has none."""
        found = reader.read(data)
        beside = files.get("script", b"")
        return reader.with_script(found, beside) if beside and not found.script else found

    def dumps(self, definition: JobDefinition, *, lossy: bool = False) -> Bundle:
        """Write the document."""
        rest, lost = definition, list[str]()
        while len(data := writer.write(rest)) > MAX_SIZE:
            large = texts.largest(rest, len(data) - MAX_SIZE, apart=frozenset())
            rest = texts.without(rest, large, name=_FORMAT)
            lost += large
        if lost and not lossy:
            raise CannotCarry(_FORMAT, lost)
        return Bundle(data=data)


@hookimpl
def opus_register_jdl() -> type[Jdl]:
    """Offer the format to the registry."""
    return VotableJdl
