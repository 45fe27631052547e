"""What one look at a submission tells: whether it waits, runs or has ended, and why."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from opus_core import links
from opus_core.backends import Cause, Kind, Status
from opus_core.job import cut
from opus_core.links import Exit, Links
from opus_core.process import boot_id
from opus_manager_local.processes import Process
from opus_manager_local.records import Launch, Record, Records

TRIES = 3
"""How often a wrapper that ends without a claim is launched; what fails so often always will."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A record, its job's folder and its processes at one moment."""

    record: Record
    links: Links
    there: bool  # the folder
    launch: Launch | None = None
    aborted: bool = False
    wrapper: Process | None = None  # that holds the claim, or else was launched; if it lives

    @property
    def claim(self) -> Process | None:
        """The wrapper of this submission that made the claim."""
        number, _, who = (self.links.claimant or "").partition("/")
        return Process.parse(who) if number == str(self.record.number) else None

    @property
    def waiting(self) -> bool:
        """It is to be launched, now or when its turn comes."""
        return (
            self.links.claimant is None
            and self.wrapper is None
            and not self.aborted
            and self.there
            and (self.launch is None or self.launch.tries < TRIES)
        )

    @property
    def over(self) -> bool:
        """Nothing of it runs or will; what has its folder away may, once that is mounted."""
        return self.wrapper is None and not self.waiting and self.there

    @property
    def dead(self) -> bool:
        """Its wrapper was ended before it could write down how the script ended."""
        return self.claim is not None and self.wrapper is None and self.links.exit is None

    def status(self, place: str) -> Status:
        """The answer to `get_status`; `place` is what to say of one that waits."""
        kind, cause, reason = self._answer(place)
        end = self.links.exit
        begun = end.started if end and end.started else self._began()
        return Status(
            kind=kind,
            cause=cause,
            reason=reason,
            native_state=kind.value,
            exit_code=end.code if end else None,
            signal=end.signal if end else None,
            submitted=self.record.submitted,
            started=begun,
            ended=end.ended if end else None,
        )

    def _answer(self, place: str) -> tuple[Kind, Cause | None, str]:
        if self.links.exit is not None:
            return Kind.ENDED, _cause(self.links.exit), self.links.exit.reason
        if self.links.sealed:
            return Kind.ENDED, Cause.CANCELLED, "sealed before it began"
        if self.links.claimant is not None and self.claim is None:
            return Kind.ENDED, Cause.OK, f"left the job to {self.links.claimant}"
        if self.wrapper is not None and self.claim is not None:
            return Kind.RUNNING, None, ""
        if self.wrapper is not None:
            return Kind.QUEUED, None, "starting"
        if self.aborted:
            return Kind.ENDED, Cause.CANCELLED, "aborted"
        if self.claim is not None:
            return (Kind.ENDED, *self._death(self.claim))
        if not self.there:
            return Kind.ENDED, Cause.LAUNCH, "its folder is gone"
        if not self.waiting:
            return Kind.ENDED, Cause.LAUNCH, f"its wrapper ended {TRIES} times without a claim"
        return Kind.QUEUED, None, place

    def _death(self, claim: Process) -> tuple[Cause, str]:
        if claim.boot != boot_id():
            return Cause.NODE, "the machine was started again"
        if not self.links.begun:
            return Cause.LAUNCH, "its wrapper could not start the script"
        return Cause.FAILED, "its wrapper was killed"

    def _began(self) -> datetime | None:
        if not self.links.begun:
            return None
        try:
            made = os.lstat(self.record.folder / "started").st_mtime
        except FileNotFoundError:
            return None
        return cut(datetime.fromtimestamp(made, UTC))


def look(records: Records, record: Record, *, untouched: bool = False) -> View:
    """Look at everything once more after a wrapper was found dead: it may have ended in between,
    and then it has left its exit.

    `untouched`: a moment ago it was neither launched nor aborted. Then, and while nobody has
    claimed the job, its folder is all that there is to be looked at.
    """
    if untouched:
        found = links.peek(record.folder)
        if found.claimant is None:
            return View(record=record, links=found, there=_there(record.folder))
    aborted = records.aborted_at(record.number) is not None
    view = _look(records, record, aborted=aborted)
    return _look(records, record, aborted=aborted) if view.dead else view


def _look(records: Records, record: Record, *, aborted: bool) -> View:
    launch = records.launch(record.number)
    launched = launch.process if launch and launch.process.alive else None
    # After its process: what has ended by now has made its links.
    found = links.peek(record.folder)
    number, _, who = (found.claimant or "").partition("/")
    claim = Process.parse(who) if number == str(record.number) else None
    wrapper = (claim if claim.alive else None) if claim else launched
    return View(
        record=record,
        links=found,
        launch=launch,
        aborted=aborted,
        there=_there(record.folder),
        wrapper=wrapper,
    )


def _there(folder: Path) -> bool:
    try:
        os.stat(f"{folder}/run")
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _cause(end: Exit) -> Cause:
    if end.reason == "limit":
        return Cause.TIME_LIMIT
    if end.reason == "term":
        return Cause.CANCELLED
    return Cause.OK if end.code == 0 and not end.reason else Cause.FAILED
