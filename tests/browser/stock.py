"""Sites with many jobs, that were never run."""

from __future__ import annotations

from datetime import timedelta

from opus_core import job as jobs
from opus_core.app import open_opus
from opus_core.config import load
from opus_core.job import DefinitionRef, Job, Phase, Work, new_id
from servers import Site


def stocked(site: Site, name: str, count: int) -> list[str]:
    """Give a site that is not running so many jobs of nobody; their ids, oldest first."""
    opus = open_opus(load(site.config))
    begin = jobs.now() - timedelta(days=1)
    try:
        return [
            opus.storage.add(
                Job(
                    id=new_id(),
                    definition=DefinitionRef(name, 1),
                    phase=Phase.COMPLETED,
                    work=Work.NONE,
                    created=begin + timedelta(seconds=number),
                    manager="local",
                    run_id=f"run {number}",
                )
            ).id
            for number in range(count)
        ]
    finally:
        opus.close()
