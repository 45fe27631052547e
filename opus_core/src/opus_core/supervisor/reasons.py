"""Why jobs wait, as the scheduler says and their owners can read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from opus_core.backends import Live, Ref, Status
from opus_core.supervisor.desk import Desk
from opus_core.supervisor.judge import WAITING

_AT_ONCE: Final = 200  # notes of one poll, so that many of them keep nobody from the storage


class Reasons:
    """What was noted of each job that waits."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._noted: dict[str, str] = {}

    def tell(
        self, lives: Sequence[Live], statuses: Mapping[Ref, Status], judged: Collection[str]
    ) -> None:
        """Note the reasons of those of which nothing else has changed, for else they were judged;
        of very many the rest after a later poll."""
        left = _AT_ONCE
        noted: dict[str, str] = {}
        for live in lives:
            status, old = statuses.get(live.ref), self._noted.get(live.id, "")
            if status is None:
                noted[live.id] = old
            elif status.kind in WAITING:
                noted[live.id] = status.reason
                if status.reason != old and live.id not in judged:
                    if not left:
                        noted[live.id] = old
                        continue
                    left -= 1
                    self._desk.storage.note(live.id, {"waiting": status.reason})
        self._noted = noted
