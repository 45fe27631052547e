"""A site that is soaked: an installation, and the database it keeps its jobs in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from servers import Site
from services import postgresql
from soak.databases import Database, Lite, Postgres
from soak.job import JOB, SCRIPT, WADL

LEASE = 3.0  # [s]


@dataclass
class Soaked(Site):
    """A site whose database can be read beside it."""

    afresh = True
    answers = True
    patience = 60.0

    database: Database = field(kw_only=True)


def make_site(
    folder: Path, *, embedded: bool, server: postgresql.Server | None = None, max_jobs: int = 6
) -> Soaked:
    """On SQLite, or on a database of its own of that server."""
    database: Database = Lite(folder / "data" / "opus.sqlite")
    if server is not None:
        database = Postgres(server, folder.name)
    site = Soaked(folder, database=database)
    site.configure(
        storage=database.table,
        server=f"port = {site.port}\nthreads = 24\nwait_slots = 12\nwait_per_user = 10",
        supervisor=f"lease_seconds = {LEASE:g}\ngrace = 3\nembedded = {str(embedded).lower()}",
        manager=f'use = "local"\nmax_jobs = {max_jobs}\ngrace = 2',
    )
    (folder / "ledgers").mkdir()
    site.describe(JOB, SCRIPT, WADL)
    return site
