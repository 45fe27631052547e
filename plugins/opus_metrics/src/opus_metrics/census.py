"""What counting begins with: every job there is, at one place of the journal.

A list of many jobs is no picture of one moment. So the place in the journal is read first, then
the list, and what the journal has got meanwhile is laid over it: an entry says what a job is, so it
does no harm to one that was listed later.
"""

from __future__ import annotations

import time
from typing import Final

from opus_core.backends import JobQuery, Storage
from opus_core.job import Phase
from opus_metrics.tally import Tally

PAGE: Final = 1000  # entries of the journal that are read at once


class Census:
    """Memory for each job, until it is done; asked as often as it takes. After an error it is of
    no more use."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._seq = storage.changes(-1)[0]
        self._found: dict[str, tuple[str, Phase]] = {}
        self._listing = storage.get_list(JobQuery())

    def go_on(self, deadline: float) -> Tally | None:
        """The tally, or None if it could not be done by `deadline` of the monotonic clock. Raises
        `Gap`, and what a storage raises."""
        for job in self._listing:
            self._found[job.id] = (job.definition.name, job.phase)
            if time.monotonic() >= deadline:
                return None
        while True:
            self._seq, changes = self._storage.changes(self._seq, limit=PAGE)
            for change in changes:
                if change.new is None:
                    self._found.pop(change.job_id, None)
                else:
                    self._found[change.job_id] = (change.definition.name, change.new)
            if len(changes) < PAGE:
                return Tally.at(self._seq, self._found.values())
            if time.monotonic() >= deadline:
                return None
