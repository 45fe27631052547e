"""What the local manager knows of its submissions: one folder, shared by any number of processes.

    records/NUMBER.TAG      one for each tag, written and on the disk before anything is started;
                            NUMBER is the native id and the place in the queue
    launched/NUMBER  ->     tries/boot id/pid/start time: the last process that was launched for it
    aborted/NUMBER   ->     aborted: it is not to be launched (again)
    lock                    held by whoever adds, launches, aborts or removes
    log                     what wrappers and launchers had to say

Links because a link is made, with its content, in one step. A number is never given out twice:
the record with the highest one leaves its number behind, as `records/NUMBER.`, when it is removed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from opus_core import disk
from opus_core.job import now
from opus_manager_local.processes import Process

_SPARE: Final = 100  # records kept in memory that are not there any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One submission, as it was written down; only `move` changes it."""

    number: int
    tag: str
    folder: Path
    submitted: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The last process that was launched for a record, and how many have been."""

    process: Process
    tries: int


class Records:
    """The state folder, which is made when it is first locked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        # What was read, by the file's name: all are asked about at every poll, and seldom change.
        self._kept: dict[str, tuple[disk.Fingerprint, Record]] = {}

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep out everybody else, in this process and in others."""
        try:
            handle = self._open_lock()
        except FileNotFoundError:
            disk.make_folder(self.folder)
            handle = self._open_lock()
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            for name in ("records", "launched", "aborted"):
                disk.make_folder(self.folder / name)
            yield
        finally:
            os.close(handle)

    def numbers(self) -> dict[str, int]:
        """The number of each tag, lowest first."""
        found = {unquote(tag): int(number) for number, tag in self._names() if tag}
        if len(self._kept) > 2 * len(found) + _SPARE:  # others have removed many
            self._kept = {}
        return found

    def read(self, number: int, tag: str) -> Record | None:
        """The record; None if it is not there any more."""
        name = _name(number, tag)
        path = f"{self.folder}/records/{name}"
        try:
            found = disk.fingerprint(os.stat(path))
            kept = self._kept.get(name)
            if kept is not None and kept[0] == found:
                return kept[1]
            data = json.loads(Path(path).read_bytes())
        except FileNotFoundError:
            self._kept.pop(name, None)
            return None
        record = Record(
            number=number,
            tag=tag,
            folder=Path(data["folder"]),
            submitted=datetime.fromisoformat(data["submitted"]),
        )
        self._kept[name] = found, record
        return record

    def add(self, tag: str, folder: Path) -> Record:
        """The record of that tag, which is made if there is none. Called under the lock.

        On the disk when this returns.
        """
        names = self._names()
        number = next((int(number) for number, own in names if unquote(own) == tag), None)
        if number is None:
            self._tidy()
            number = int(names[-1][0]) + 1 if names else 1
            self._write(Record(number=number, tag=tag, folder=folder, submitted=now()))
        record = self.read(number, tag)
        if record is None:
            raise FileNotFoundError(errno.ENOENT, f"record {number} was taken away")
        return record

    def move(self, number: int, tag: str, folder: Path) -> None:
        """The job's folder is there now. Called under the lock."""
        record = self.read(number, tag)
        if record is not None and record.folder != folder:
            self._write(replace(record, folder=folder))

    def remove(self, record: Record) -> None:
        """Forget a record; safe twice. Called under the lock."""
        for kind in ("launched", "aborted"):
            self._link(kind, record.number).unlink(missing_ok=True)
        names = self._names()
        path = self.folder / "records" / _name(record.number, record.tag)
        self._kept.pop(path.name, None)
        with suppress(FileNotFoundError):
            if names and int(names[-1][0]) == record.number:
                os.rename(path, path.with_name(_name(record.number, "")))
            else:
                path.unlink()
        for number, tag in names[:-1]:
            if not tag:
                path.with_name(f"{number}.").unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget all records; numbers go on behind them. Called under the lock.

        The last one goes first, for it leaves its number behind.
        """
        for number, tag in reversed(self._names()):
            record = self.read(int(number), unquote(tag)) if tag else None
            if record is not None:
                self.remove(record)

    def launched(self) -> set[int]:
        """The numbers for which something has been launched."""
        return self._linked("launched")

    def launch(self, number: int) -> Launch | None:
        """What was launched last for a number."""
        try:
            tries, _, who = os.readlink(self._link("launched", number)).partition("/")
        except FileNotFoundError:
            return None
        process = Process.parse(who)
        return Launch(process=process, tries=int(tries)) if process else None

    def note_launch(self, number: int, launch: Launch) -> None:
        """Write down what was launched. Called under the lock."""
        link = self._link("launched", number)
        beside = link.with_name(f".{secrets.token_hex(8)}")
        os.symlink(f"{launch.tries}/{launch.process}", beside)
        os.rename(beside, link)

    def aborted(self) -> set[int]:
        """The numbers that are not to be launched."""
        return self._linked("aborted")

    def aborted_at(self, number: int) -> float | None:
        """When a number was aborted first [s since 1970]; None if it was not."""
        try:
            return os.lstat(self._link("aborted", number)).st_mtime
        except FileNotFoundError:
            return None

    def note_abort(self, number: int) -> None:
        """Let nothing be launched for a number any more; on the disk when this returns. Called
        under the lock."""
        link = self._link("aborted", number)
        with suppress(FileExistsError):
            os.symlink("aborted", link)
            disk.sync(link.parent)

    def _tidy(self) -> None:
        """Remove what somebody who was killed has left half done. Called under the lock, so that
        nobody is at it."""
        for kind in ("records", "launched"):
            for path in (self.folder / kind).glob(".*"):
                path.unlink(missing_ok=True)

    def _write(self, record: Record) -> None:
        """On the disk when this returns."""
        data = {
            "tag": record.tag,
            "folder": str(record.folder),
            "submitted": record.submitted.isoformat(),
        }
        path = self.folder / "records" / _name(record.number, record.tag)
        disk.put(path, json.dumps(data).encode())
        disk.sync(path.parent)

    def _open_lock(self) -> int:
        return os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, disk.FILE_MODE)

    def _names(self) -> list[tuple[str, str]]:
        """Number and quoted tag of every record, lowest first."""
        try:
            listed = os.listdir(self.folder / "records")
        except FileNotFoundError:
            return []
        parts = (name.partition(".") for name in sorted(listed))
        return [(number, tag) for number, _, tag in parts if number]

    def _linked(self, kind: str) -> set[int]:
        try:
            return {int(name) for name in os.listdir(self.folder / kind) if name.isdecimal()}
        except FileNotFoundError:
            return set()

    def _link(self, kind: str, number: int) -> Path:
        return self.folder / kind / f"{number:012d}"


def _name(number: int, tag: str) -> str:
    return f"{number:012d}.{quote(tag, safe='')}"
