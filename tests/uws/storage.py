"""Jobs put where only a cluster, or time, could bring them: written by a second process's hand into
the storage that the server reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from opus_core.app import open_opus
from opus_core.backends import Storage
from opus_core.config import load
from opus_core.job import Job
from servers import Site
from uws.documents import id_of


@contextmanager
def opened(site: Site) -> Iterator[Storage]:
    opus = open_opus(load(site.config))
    try:
        yield opus.storage
    finally:
        opus.close()


def change(site: Site, url: str, **changes: object) -> Job:
    """The job of that URL with other values, saved as a supervisor would."""
    with opened(site) as storage:
        job = storage.read(id_of(url))
        return storage.save(replace(job, **changes), expected=job.version)
