"""Who did what, as an auditor asks: sign-ins, accounts, tokens, descriptions, others' jobs.

Kept in a stream of the storage, one record for each act, and logged as one line. Nothing secret is
in it: of a token only its public prefix.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from opus_core.backends import Storage
from opus_core.facts import about

log = logging.getLogger(__name__)

STREAM: Final = "audit"
_PAGE: Final = 1000
_LONGEST: Final = 500  # characters of what somebody else wrote


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One act."""

    seq: int
    time: datetime
    actor: str  # a user's name; `console:NAME` for a command, `-` for nobody known
    act: str  # two words: `token made`
    subject: str  # what it was done to
    address: str  # from where
    more: str


class Audit:
    """The record of a storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def note(
        self, actor: str | None, act: str, subject: str = "", *, address: str = "", more: str = ""
    ) -> None:
        """Add an act that was done. Raises what the storage does."""
        record = {
            "actor": (actor or "-")[:_LONGEST],
            "act": act,
            "subject": subject[:_LONGEST],
            "address": address[:_LONGEST],
            "more": more[:_LONGEST],
        }
        facts = about(
            act=act,
            actor=record["actor"],
            job=subject if act.startswith("job ") else None,
            subject=record["subject"] or None,
            address=address[:_LONGEST] or None,
            more=record["more"] or None,
        )
        log.info("audit", extra=facts)
        self._storage.append(STREAM, record)

    def latest(self, number: int) -> list[Entry]:
        """The last acts, newest first."""
        low, high = -1, 1
        while self._more_than(number, high):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            if self._more_than(number, middle):
                low = middle
            else:
                high = middle
        found = list(self.entries(0 if high == 1 and not self._more_than(number, 0) else high))
        return found[::-1][:number]

    def _more_than(self, number: int, after: int) -> bool:
        """Whether there are more than so many behind a number: a stream tells its beginning, not
        its end."""
        return len(self._storage.records(STREAM, after, number + 1)) > number

    def forget(self, before: datetime) -> None:
        """Remove the acts before an instant."""
        while records := self._storage.records(STREAM, limit=_PAGE):
            old = [record.seq for record in records if record.time < before]
            if old:
                self._storage.trim(STREAM, old[-1])
            if len(old) < len(records):
                return

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """All acts behind a number, oldest first."""
        while records := self._storage.records(STREAM, after, _PAGE):
            for record in records:
                yield Entry(seq=record.seq, time=record.time, **record.data)
            after = records[-1].seq
