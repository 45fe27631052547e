"""What reads and writes descriptions of jobs in one format."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from opus_core.backends.backend import Backend
from opus_core.definition import JobDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A description in a format: the document, and files that go beside it (`script`), by their
    bare names."""

    data: bytes
    files: Mapping[str, bytes] = field(default_factory=dict)


class Jdl(Backend):
    """A format of job descriptions. The law: what `dumps` accepts without `lossy` comes back
    equal from `loads`; and what `loads` has read, `dumps` can write again. One description gives
    the same bytes each time. Never resolves an entity, never fetches, bounds what it reads."""

    suffix: ClassVar[str]
    """How its files end, with the dot."""

    media_type: ClassVar[str]
    """What its documents are served as, without parameters."""

    @abstractmethod
    def recognises(self, head: bytes) -> bool:
        """Whether a document that begins so (4 KiB or all of it) is of this format."""

    @abstractmethod
    def loads(self, data: bytes, files: Mapping[str, bytes] = {}) -> JobDefinition:
        """Read a document and the files beside it, any of which may be missing. Raises `JdlError`
        with the line."""

    @abstractmethod
    def dumps(self, definition: JobDefinition, *, lossy: bool = False) -> Bundle:
        """Write a document. Raises `CannotCarry` for fields that the format has no word for,
        unless `lossy` leaves them out. Each begins with the name of a field of
        `JobDefinition`, as `parameters['x'].unit`, and they are all that `lossy` leaves out."""
