"""What is told of a change, whoever is told: its name, its document, where the job is."""

from __future__ import annotations

import json
from dataclasses import dataclass

from opus_core.job import Change
from opus_core.render.text import instant
from opus_core.render.urls import Urls


def identity(change: Change) -> str:
    """What this change alone is called, each time it is told.

    The number in the journal does not do: it comes again once a storage was restored.
    """
    return f"{change.job_id}-{change.seq}-{change.new or 'DELETED'}"


@dataclass(frozen=True, slots=True)
class Links:
    """Where jobs are, as far as the configuration says how users reach the server."""

    base_url: str | None

    def job(self, change: Change) -> str | None:
        """The job that has changed."""
        if self.base_url is None:
            return None
        return Urls(self.base_url).job(change.definition.name, change.job_id)


def document(change: Change, links: Links) -> bytes:
    """The change in JSON, the same each time: `type`, `timestamp` and `data` as Standard Webhooks
    advises (Webhook payload). A job without owner is an anonymous user's; `old` null: it is new.
    """
    found = {
        "type": "job.phase",
        "timestamp": instant(change.time),
        "data": {
            "job": change.job_id,
            "definition": change.definition.name,
            "version": change.definition.number,
            "owner": change.owner,
            "run_id": change.run_id,
            "old": change.old,
            "new": change.new,
            "url": links.job(change),
        },
    }
    return json.dumps(found, separators=(",", ":")).encode()
