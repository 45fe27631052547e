"""What squeue, sacct and scontrol print, parsed. Text in, values out; nothing here runs a command.

Fields are separated by the unit separator, which occurs in no name, comment or reason. Instants
are asked for as seconds since 1970 (`SLURM_TIME_FORMAT`), so that no time zone matters.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from opus_core.backends import Cause, Kind, Status
from opus_core.job import cut
from opus_manager_slurm.states import kind_of, sentence_of, word_of

SEPARATOR: Final = "\x1f"

SQUEUE_FIELDS: Final = (
    "JobID",
    "Name",
    "State",
    "Reason",
    "exit_code",
    "SubmitTime",
    "StartTime",
    "EndTime",
    "RestartCnt",
)
SACCT_FIELDS: Final = (
    "JobIDRaw",
    "JobName",
    "State",
    "Reason",
    "ExitCode",
    "Submit",
    "Start",
    "End",
)

_NOT_LAUNCHED: Final = 53  # no signal of any system: SLURM's way to say that it could not begin
_SECONDS: Final = re.compile(r"[0-9]{1,11}")
_INFO: Final = (
    "JobState",
    "Reason",
    "Partition",
    "QOS",
    "Account",
    "NodeList",
    "NumNodes",
    "NumCPUs",
    "TRES",
    "TimeLimit",
    "RunTime",
    "SubmitTime",
    "StartTime",
    "EndTime",
    "Restarts",
    "ExitCode",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One submission as SLURM shows it."""

    job_id: str
    name: str
    state: str
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    submitted: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    restarts: int = 0

    @property
    def final(self) -> bool:
        """Nothing can come after this state."""
        return kind_of(self.state, self.reason)[0] is Kind.ENDED

    def status(self) -> Status:
        """The same in the words of the core."""
        kind, cause = kind_of(self.state, self.reason)
        over = kind is Kind.ENDED
        if cause is Cause.FAILED and self.signal == _NOT_LAUNCHED:
            cause = Cause.LAUNCH
        # SLURM shows where it expects a waiting job to start, and a running one to end.
        ran = self.started if over or kind in (Kind.RUNNING, Kind.SUSPENDED) else None
        return Status(
            kind=kind,
            cause=cause,
            reason=_why(self, cause) if over else _waits(kind, self.reason),
            native_state=self.state,
            exit_code=self.exit_code if over else None,
            signal=self.signal if over else None,
            submitted=self.submitted,
            started=ran,
            ended=self.ended if over else None,
            restarts=self.restarts,
        )


def _waits(kind: Kind, reason: str) -> str:
    """Why it waits; of one that is suspended SLURM does not say."""
    if kind is Kind.SUSPENDED:
        return sentence_of(reason) or "the cluster has suspended it, and will let it go on"
    return sentence_of(reason)


def _why(row: Row, cause: Cause | None) -> str:
    """Why it ended, where that says more than the cause does."""
    plain = sentence_of(row.reason)
    if cause is Cause.FAILED and row.signal == signal.SIGKILL:
        return f"{row.state} by signal 9, which is also how too much memory ends"
    if cause is Cause.FAILED and row.signal:
        return f"{row.state} by signal {row.signal}"
    # A job that is over keeps the reason for which it waited, or one that misleads.
    if cause in (Cause.OK, Cause.FAILED, Cause.CANCELLED):
        return row.state
    return f"{word_of(row.state)}, {plain}" if plain else row.state


def parse_squeue(text: str) -> list[Row]:
    """The rows of `squeue -h -O` with `SQUEUE_FIELDS`; lines that are none are left out."""
    return [_row(fields, _wait_status(fields[4])) for fields in _split(text, len(SQUEUE_FIELDS))]


def parse_sacct(text: str) -> list[Row]:
    """The rows of `sacct -X -n -P` with `SACCT_FIELDS`."""
    return [_row(fields, _code_and_signal(fields[4])) for fields in _split(text, len(SACCT_FIELDS))]


def _row(fields: list[str], end: tuple[int | None, int | None]) -> Row:
    job_id, name, state, reason, _, submitted, started, ended, *more = fields
    restarts = more[0] if more else ""  # sacct has a row for each start instead
    return Row(
        job_id=job_id,
        name=name,
        state=state,
        reason=reason,
        exit_code=end[0],
        signal=end[1],
        submitted=_instant(submitted),
        started=_instant(started),
        ended=_instant(ended),
        restarts=int(restarts) if restarts.isdecimal() else 0,
    )


def parse_scontrol(text: str) -> dict[str, str]:
    """What `scontrol show job -o` tells of one job that is worth showing.

    Its line is `Key=Value` words, where only a few values hold blanks, none of those kept here.
    """
    found: dict[str, str] = {}
    for word in text.split():
        key, equals, value = word.partition("=")
        if equals and (key in _INFO or key == "JobName") and value not in ("(null)", "N/A", ""):
            instant = _instant(value) if key.endswith("Time") else None
            found.setdefault(key, f"{instant:%Y-%m-%dT%H:%M:%SZ}" if instant else value)
    return found


def parse_settings(text: str) -> dict[str, str]:
    """The lines `Key = Value` of `scontrol show config`."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def _split(text: str, width: int) -> Iterator[list[str]]:
    """The fields of each row. A line of something else, such as a banner, is no row."""
    for line in text.split("\n"):  # names may hold other characters that end lines for Python
        fields = line.split(SEPARATOR)
        if len(fields) == width + 1 and not fields[-1].strip():
            fields.pop()  # squeue ends each field so, the last one too
        if len(fields) == width and fields[0].strip().isdecimal():
            yield [field.strip() for field in fields]


@lru_cache(maxsize=8192)  # thousands of jobs are submitted, and end, within few seconds
def _instant(text: str) -> datetime | None:
    """Seconds since 1970; None for `N/A`, `Unknown`, 0 and whatever else is none."""
    if not _SECONDS.fullmatch(text) or not int(text):
        return None
    return cut(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(text)))


def _wait_status(text: str) -> tuple[int | None, int | None]:
    """Exit code and signal from the status that wait(2) gave."""
    if not text.isdecimal():
        return None, None
    status = int(text)
    return status >> 8 & 0xFF, status & 0x7F or None


def _code_and_signal(text: str) -> tuple[int | None, int | None]:
    """The same from `7:0`."""
    code, colon, signal = text.partition(":")
    if not (colon and code.isdecimal() and signal.isdecimal()):
        return None, None
    return int(code), int(signal) or None
