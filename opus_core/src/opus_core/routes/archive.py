"""All results of a job in one file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

import bottle

from opus_core.errors import NotFound
from opus_core.folder import Folders
from opus_core.job import Job
from opus_core.routes import files
from opus_core.routes.asking import Asked
from opus_core.routes.output import open_result

_PIECE: Final = 262_144  # [byte]
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)  # that ZIP can say


def get_archive(asked: Asked, name: str, job_id: str) -> bottle.HTTPResponse:
    """The results as ZIP, put together on its way: nothing of it is kept here."""
    job = asked.job(name, job_id)
    if not job.results:
        raise NotFound(f"job {job.id} has no results; it is {job.phase}")
    for result in job.results:  # while an error can still be told
        open_result(asked.parts.folders, job, result).close()
    short = f"{name}-{job.id[:8]}.zip"
    return files.send_stream(_zipped(asked.parts.folders, job), "application/zip", short)


def _zipped(folders: Folders, job: Job) -> Iterator[bytes]:
    """The archive in pieces. Results are stored as they are: most are packed already, and a
    server has better to do."""
    written = _Written()
    ended = (job.ended or datetime.now(UTC)).timetuple()[:6]
    with zipfile.ZipFile(written, "w", allowZip64=True) as archive:
        for result in job.results:
            entry = zipfile.ZipInfo(result.name, max(ended, _EARLIEST))
            entry.external_attr = 0o644 << 16
            entry.file_size = result.size  # tells zipfile whether it needs ZIP64
            with open_result(folders, job, result) as file, archive.open(entry, "w") as into:
                left = result.size
                while left and (piece := file.read(min(_PIECE, left))):
                    left -= len(piece)
                    into.write(piece)
                    yield from written.taken()
    yield from written.taken()


class _Written(io.RawIOBase):
    """What is written to it can be taken away again, and it cannot go back."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Iterable[int]) -> int:  # type: ignore[override]
        piece = bytes(data)
        self._pieces.append(piece)
        return len(piece)

    def taken(self) -> Iterator[bytes]:
        pieces, self._pieces = self._pieces, []
        yield from pieces
