"""A job's folder: what is put there for the script, and what is found there afterwards.

    input/       uploads, each named by its SHA-256, and for the script also with a suffix
    script  run  the definition's script as published, and the wrapper (`opus_core.wrapper`)
    task  event  what the wrapper reads
    parameters.json  values/     every value; those too large for a variable, a file each
    job.json     where all of it came from
    work/        the script's working directory
    results/     what the wrapper moved there; nothing else is served
    claim  started  exit  progress  stdout  stderr

Folders are `ROOT/ab/abcdef.../`. A name beside them that begins with a dot is a folder being
built or removed. `ROOT/.opus-jobs` tells a root whose file system is mounted from the empty
folder in its place. What a method wrote is on the disk, power cuts included, when it returns.

Folders are 2770 and files 0660 whatever the umask, so that a web server and a supervisor of two
users can share a group. Only `event` is 0600: it holds a token, which nobody reads but the
wrapper, and that runs as the supervisor, who wrote it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import mimetypes
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

from opus_core import disk, links
from opus_core.backends import Event, Ref, Task
from opus_core.definition import JobDefinition
from opus_core.errors import BackendUnavailable, Conflict, NotFound, TooLarge, UnknownJob
from opus_core.facts import about
from opus_core.job import Job, Result, Upload
from opus_core.links import Links
from opus_core.validation import outputs
from opus_core.wrapper import Content, Joined, describe, input_files, input_name

log = logging.getLogger(__name__)

MARK: Final = ".opus-jobs"
"""The file that says of a folder that it is the root of jobs' folders."""

_JOB_ID: Final = re.compile(r"[0-9a-f]{32}")
_LARGEST_PROGRESS: Final = 1024  # [byte]
_PIECE: Final = 2**20  # [byte] copied at once
_OPEN: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY
_NOT_THERE: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG, errno.EACCES}
)

_MEDIA_TYPES: Final = mimetypes.MimeTypes()
for _suffix, _type in {
    ".asdf": "application/x-asdf",
    ".csv": "text/csv",
    ".ecsv": "text/csv",
    ".fit": "application/fits",
    ".fits": "application/fits",
    ".fz": "application/fits",
    ".h5": "application/x-hdf5",
    ".hdf5": "application/x-hdf5",
    ".json": "application/json",
    ".log": "text/plain",
    ".svg": "image/svg+xml",
    ".vot": "application/x-votable+xml",
}.items():
    _MEDIA_TYPES.add_type(_type, _suffix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a job has left behind: its results, and the ids of required ones that are not there."""

    results: tuple[Result, ...] = ()
    missing: tuple[str, ...] = ()


class Folders:
    """The folders of all jobs below `root`, which is made when it is first needed.

    Every method may be called from several threads and processes at once. A job id that is none
    raises `UnknownJob`; a full disk or quota `StorageFull`, and then nothing half written is left
    behind under its final name. Where the root is `marked`, and its mark cannot be seen, nothing
    is said to be missing and nothing is written: `BackendUnavailable`.
    """

    def __init__(self, root: Path, *, marked: bool = False) -> None:
        self.root = root
        self._marked = marked

    def mark(self) -> None:
        """Mark the root, which is there; safe twice."""
        with disk.noticing_full(self.root):
            if not os.path.exists(self.root / MARK):
                disk.put(self.root / MARK, b"OPUS keeps jobs here, and looks for this file.\n")
                disk.sync(self.root)

    def check(self) -> None:
        """Raise `BackendUnavailable` if this is not the root that was marked: a file system that
        is not mounted would make every job look as if it had never begun."""
        if self._marked and not os.path.exists(self.root / MARK):
            raise BackendUnavailable(
                f"the folders of jobs are not where they were: there is no file {MARK} in [jobs]"
                " folder; is their file system mounted?"
            )

    def path(self, job_id: str) -> Path:
        """Where the job's folder is, or would be."""
        return self.root.joinpath(*_steps(job_id))

    # --- before the script runs ---

    def store(
        self,
        job_id: str,
        chunks: Iterable[bytes],
        *,
        limit: int | None = None,
        name: str = "",
        media_type: str = "application/octet-stream",
    ) -> Upload:
        """Stream an upload into the job's folder, which is made if need be.

        Raises `TooLarge` beyond `limit` bytes, `Conflict` if the job is submitted or removed
        meanwhile. Whatever goes wrong, `chunks` failing included, nothing is left behind.
        """
        self.check()
        inputs = self.path(job_id) / "input"
        digest = hashlib.sha256()
        size = 0
        with disk.noticing_full(self.root), _withdrawing(inputs), _overtaken(job_id, name):
            disk.make_folder(inputs)
            with disk.NewFile(inputs) as file:
                for chunk in chunks:
                    size += len(chunk)
                    if limit is not None and size > limit:
                        raise TooLarge(
                            f"the file {name!r} has more than the {limit} bytes that may be sent;"
                            " send a smaller one"
                        )
                    digest.update(chunk)
                    file.write(chunk)
                file.keep(digest.hexdigest())
            disk.sync(inputs)
            disk.sync(inputs.parent)
        return Upload(sha256=digest.hexdigest(), size=size, name=name, media_type=media_type)

    def discard(self, job_id: str, hashes: Iterable[str]) -> None:
        """Remove uploads that nothing names; nothing happens for those that are gone."""
        for sha256 in hashes:
            (self.path(job_id) / "input" / sha256).unlink(missing_ok=True)

    def write(
        self,
        job: Job,
        definition: JobDefinition,
        *,
        event: Event | None,
        host: str,
        backends: Mapping[str, str],
    ) -> None:
        """Put all that the wrapper needs into the folder, `run` last; safe twice.

        A new folder appears whole or not at all. Inputs that no parameter names are removed.
        `host` and `backends` (`{"manager": "slurm 1.2"}`) are for job.json. Raises `BadRequest`
        for a result whose file name is none, `NotFound` for an upload that is not there.
        """
        self.check()
        content: dict[str, Content] = {
            "job.json": _json(_provenance(job, definition, host, backends)),
            "parameters.json": _json({"parameters": [describe(one) for one in job.parameters]}),
            **input_files(job, definition, event),
        }
        uploads = [one.upload for one in job.parameters if one.upload]
        folder = self.path(job.id)
        with disk.noticing_full(self.root):
            if not folder.exists():
                building = self._aside(folder)
                disk.make_folder(building)
                try:
                    _fill(building, content, uploads, aside=True)
                    os.rename(building, folder)
                    disk.sync(folder.parent)
                    return
                except OSError as error:
                    # Somebody else has made the folder meanwhile: it is completed below.
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                finally:
                    disk.remove_tree(building)
            _fill(folder, content, uploads)

    def task(self, job: Job, definition: JobDefinition, event: Event | None = None) -> Task:
        """What a manager needs of the job, which has its tag."""
        if job.tag is None:
            raise ValueError(f"job {job.id} has no tag, so no manager can be asked about it")
        return Task(
            job_id=job.id,
            ref=Ref(
                tag=job.tag,
                native_id=job.native_ids[0] if job.native_ids else None,
                submitted_at=job.submitted_at,
            ),
            folder=self.path(job.id),
            definition=definition,
            definition_ref=job.definition,
            owner=job.owner,
            execution_duration=job.execution_duration,
            options={**definition.options, **job.options},
            outputs=outputs(definition, job.parameters),
            event=event,
            native_ids=job.native_ids,
        )

    # --- while it runs, and afterwards ---

    def links(self, job_id: str) -> Links:
        """What `claim`, `started` and `exit` say."""
        return links.peek(self.path(job_id))

    def progress(self, job_id: str) -> tuple[int, str] | None:
        """Percent done, cut to 0 to 100, and a text, as the script says in the first line of
        `progress`; None if it says nothing that makes sense."""
        try:
            file, _ = self.open_file(job_id, "progress")
        except (NotFound, BackendUnavailable):
            return None
        with file:
            head = file.read(_LARGEST_PROGRESS).decode("utf-8", "replace")
        percent, _, text = head.strip().partition("\n")[0].partition(" ")
        number = re.fullmatch(r"([0-9]{1,9})(?:\.[0-9]*)?%?", percent)
        if number is None:
            return None
        return min(int(number[1]), 100), "".join(c for c in text.strip() if c.isprintable())

    def results(self, job: Job, definition: JobDefinition) -> Collected:
        """Sizes and hashes of what the wrapper moved to `results/`.

        All of it is on the disk when this returns: COMPLETED must not outlast its results.
        """
        types = {generated.name: generated.content_type for generated in definition.generated}
        found: list[Result] = []
        missing: list[str] = []
        for output in outputs(definition, job.parameters):
            try:
                file, status = self.open_file(job.id, "results", output.file)
            except NotFound:
                if output.required:
                    missing.append(output.name)
                continue
            with file, disk.noticing_full(self.root):
                with suppress(PermissionError):  # another's file: as readable as it will get
                    os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode) | disk.FILE_MODE)
                os.fsync(file.fileno())
                found.append(
                    Result(
                        id=output.name,
                        name=output.file,
                        size=status.st_size,
                        media_type=types[output.name] or media_type(output.file),
                        sha256=hashlib.file_digest(file, "sha256").hexdigest(),
                    )
                )
        if found:
            disk.sync(self.path(job.id) / "results")
        return Collected(results=tuple(found), missing=tuple(missing))

    def note_results(
        self,
        job: Job,
        definition: JobDefinition,
        results: Iterable[Result],
        *,
        host: str,
        backends: Mapping[str, str],
    ) -> None:
        """Write job.json anew, with the results; safe twice. Nothing is read of what a script may
        have made of it. Raises `NotFound` where the folder lets nobody put it there."""
        provenance = _provenance(job, definition, host, backends)
        provenance["results"] = [
            {
                "id": result.id,
                "file": f"results/{result.name}",
                "size": result.size,
                "media_type": result.media_type,
                "sha256": result.sha256,
            }
            for result in results
        ]
        try:
            with disk.noticing_full(self.root):
                disk.tidy(self.path(job.id))
                disk.put(self.path(job.id) / "job.json", _json(provenance))
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise NotFound(f"job {job.id} lets nobody write its job.json") from error

    def open_file(self, job_id: str, *parts: str) -> tuple[BufferedReader, os.stat_result]:
        """Open a file of the folder for reading: `open_file(id, "results", "a.csv")`.

        No link is followed at any step, whatever the script has made of its folder, and nothing
        but a regular file is opened. Raises `NotFound`, also for what may not be read, since a
        script can take that right away.
        """
        lost = NotFound(f"job {job_id} has no file {'/'.join(parts)!r}")
        if not parts or any(part in ("", ".", "..") or set(part) & set("/\0") for part in parts):
            raise lost
        steps = [*_steps(job_id), *parts]
        try:
            at = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                for folder in steps[:-1]:
                    above, at = at, os.open(folder, _OPEN | os.O_DIRECTORY, dir_fd=at)
                    os.close(above)
                # Opening a FIFO must not wait for whoever writes to it.
                descriptor = os.open(steps[-1], _OPEN | os.O_NONBLOCK, dir_fd=at)
            finally:
                os.close(at)
        except OSError as error:
            if error.errno == errno.EACCES:
                # Or else web and supervisor are two users, and share no group.
                log.warning("its %s may not be read", "/".join(parts), extra=about(job=job_id))
            if error.errno in _NOT_THERE:
                self.check()
                raise lost from None
            raise
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise lost
        return os.fdopen(descriptor, "rb"), status

    # --- the end of it ---

    def remove(self, job_id: str) -> None:
        """Remove the folder; safe twice.

        It is renamed first, so that nothing which looks alive is left if this is cut off; `sweep`
        completes it.
        """
        self._remove(self.path(job_id))

    def remove_results(self, job_id: str) -> None:
        """Remove `results/` of a job that is archived; safe twice."""
        self._remove(self.path(job_id) / "results")

    def sweep(self, known: Callable[[str], bool], *, older_than: float) -> list[str]:
        """Remove folders of jobs that are not `known`, and what was left half built or half
        removed, where nothing has changed for `older_than` seconds; answers the ids of the jobs.
        """
        self.check()
        limit = time.time() - older_than
        swept: list[str] = []
        for shard in _folders(self.root):
            for folder in _folders(shard):
                if _changed(folder) > limit:
                    continue
                if folder.name.startswith("."):
                    disk.remove_tree(folder)
                elif _JOB_ID.fullmatch(folder.name) and not known(folder.name):
                    self._remove(folder)
                    swept.append(folder.name)
        return swept

    def _remove(self, folder: Path) -> None:
        self.check()
        aside = self._aside(folder)
        try:
            # Or `sweep` takes it for one that was left long ago, and removes it at the same time.
            with suppress(PermissionError):
                os.utime(folder, follow_symlinks=False)
            os.rename(folder, aside)
        except (FileNotFoundError, NotADirectoryError):
            return
        disk.remove_tree(aside)

    def _aside(self, folder: Path) -> Path:
        """A name beside the jobs' folders, even for a folder in one, so that `sweep` finds it."""
        shard = folder.relative_to(self.root).parts[0]
        return self.root / shard / f".{folder.name}.{secrets.token_hex(8)}"


def media_type(name: str) -> str:
    """What a file of that name is served as."""
    guessed, encoding = _MEDIA_TYPES.guess_type(name)
    if encoding is not None:
        return {"gzip": "application/gzip"}.get(encoding, f"application/x-{encoding}")
    return guessed or "application/octet-stream"


def _steps(job_id: str) -> tuple[str, str]:
    if not _JOB_ID.fullmatch(job_id):
        raise UnknownJob(job_id)
    return job_id[:2], job_id


@contextmanager
def _withdrawing(inputs: Path) -> Iterator[None]:
    """Take back folders that were made for an upload which then failed."""
    try:
        yield
    except BaseException:
        for folder in (inputs, inputs.parent):
            with suppress(OSError):  # not empty: somebody else's, and it stays
                folder.rmdir()
        raise


@contextmanager
def _overtaken(job_id: str, name: str) -> Iterator[None]:
    """Say what has happened if the folder's inputs are gone, or have been brought into order."""
    try:
        yield
    except FileNotFoundError as error:
        raise Conflict(
            f"job {job_id} was started or deleted while the file {name!r} came"
        ) from error


def _fill(
    folder: Path,
    content: Mapping[str, Content],
    uploads: Collection[Upload],
    *,
    aside: bool = False,
) -> None:
    """Write a folder's files and bring its inputs into order; each file whole and `run` last,
    unless the folder is built aside and appears as a whole."""
    for name in ("work", "results"):
        disk.make_folder(folder / name)
    _sort_inputs(folder / "input", uploads)
    put = disk.make_file if aside else disk.put

    def write(name: str, data: Content) -> None:
        if isinstance(data, Joined):
            _join(folder / "input", data, folder / name)
        else:
            mode = disk.SECRET_MODE if name == "event" else disk.FILE_MODE
            put(folder / name, data, mode)

    *rest, run = content
    for name in rest:
        if "/" in name:
            disk.make_folder((folder / name).parent)
        write(name, content[name])
    with suppress(FileNotFoundError):
        disk.sync(folder / "values")
    if not aside:
        disk.sync(folder)
    write(run, content[run])
    disk.sync(folder)


def _join(inputs: Path, texts: Joined, path: Path) -> None:
    """Write a file that is made of others."""
    with disk.NewFile(path.parent) as file:
        for number, text in enumerate(texts.texts):
            if number:
                file.write(b"\n")
            if isinstance(text, bytes):
                file.write(text)
                continue
            with (inputs / text.sha256).open("rb") as source:
                while piece := source.read(_PIECE):
                    file.write(piece)
        file.keep(path.name)


def _sort_inputs(inputs: Path, uploads: Collection[Upload]) -> None:
    """Give uploads the names that the script sees, and remove what none of them is."""
    wanted = {name for one in uploads for name in (one.sha256, input_name(one))}
    for upload in uploads:
        if not (inputs / upload.sha256).is_file():
            raise NotFound(f"the file {upload.name!r} is not there any more; send it again")
        with suppress(FileExistsError):
            os.link(inputs / upload.sha256, inputs / input_name(upload))
    with suppress(FileNotFoundError):  # no job folder has one unless something was sent
        for name in os.listdir(inputs):
            if name not in wanted:
                os.unlink(inputs / name)
        disk.sync(inputs)


def _provenance(
    job: Job, definition: JobDefinition, host: str, backends: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "job": job.id,
        "definition": {
            "name": job.definition.name,
            "number": job.definition.number,
            "version": definition.version,
        },
        "script": {"sha256": hashlib.sha256(definition.script.encode()).hexdigest()},
        "parameters": [describe(parameter) for parameter in job.parameters],
        "options": {**definition.options, **job.options},
        "execution_duration": job.execution_duration,
        "host": host,
        "backends": dict(backends),
    }


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _changed(folder: Path) -> float:
    """When a name was last added to the folder or its inputs; never, if it is gone."""
    try:
        times = [os.lstat(folder).st_mtime]
        with suppress(FileNotFoundError, NotADirectoryError):
            times.append(os.lstat(folder / "input").st_mtime)
        return max(times)
    except FileNotFoundError:
        return time.time()
