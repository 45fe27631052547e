"""The job description format `wadl`: what the original OPUS began with, and what we write."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from opus_core import hookimpl
from opus_core.backends import Bundle, Jdl
from opus_core.definition import JobDefinition
from opus_core.errors import CannotCarry
from opus_jdl_wadl import document, reader, texts, writer
from opus_jdl_wadl.document import MAX_SIZE
from opus_jdl_wadl.names import FORMAT

_SCRIPT: Final = "script"
_NO_FILES: Final[Mapping[str, bytes]] = MappingProxyType({})


class WadlJdl(Jdl):
    """One document for the description and, beside it, the file `script`.

    Every field has its place (`opus_jdl_wadl.names` says where). What cannot be carried are
    characters that XML does not have, and more than `opus_jdl_wadl.document.MAX_SIZE` bytes.
    """

    name = "wadl"
    about = "Job descriptions as WADL, the web application description language of the W3C"
    suffix = ".wadl"
    media_type = "application/vnd.sun.wadl+xml"

    def recognises(self, head: bytes) -> bool:
        """Whether the first element is an `application` in a namespace of WADL, or in none."""
        return document.recognises(head)

    def loads(self, data: bytes, files: Mapping[str, bytes] = _NO_FILES) -> JobDefinition:
        """Read a document and the file `script` beside it; other files are not looked at."""
        return reader.read(data, files.get(_SCRIPT, b""))

    def dumps(self, definition: JobDefinition, *, lossy: bool = False) -> Bundle:
        """Write the document, and the file `script` if there is a script."""
        lost = texts.illegal(definition)
        rest = texts.without(definition, lost)
        while len(data := writer.write(rest)) > MAX_SIZE:
            large = texts.largest(rest, len(data) - MAX_SIZE)
            rest = texts.without(rest, large)
            lost += large
        if lost and not lossy:
            raise CannotCarry(f"{FORMAT} of at most {MAX_SIZE} bytes", lost)
        files = {_SCRIPT: rest.script.encode()} if rest.script else {}
        return Bundle(data=data, files=files)


@hookimpl
def opus_register_jdl() -> type[Jdl]:
    """Offer the format to the registry."""
    return WadlJdl
