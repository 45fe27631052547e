"""A server to be asked anything, and jobs in every state for the questions to be about."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from attacked import attacked_site
from servers import LEDGER_WADL, Site

NOWHERE = "http://127.0.0.9"
"""From where inputs are fetched: an address of this machine where nothing listens."""
REQUESTS = 50_000 if os.environ.get("OPUS_SOAK") else 5_000

_SAY = LEDGER_WADL.replace('name="ledger"', 'name="number"').replace(
    'type="xs:string" required="true"/>',
    'type="xs:int" required="false"/>\n          <param style="query" name="table" type="file"/>',
    1,
)
_WRITE = 'printf %s "$text" > "$output"\necho said\n'
_FILE = (
    b'--f\r\nContent-Disposition: form-data; name="table"; filename="t.csv"\r\n'
    b"Content-Type: text/csv\r\n\r\n1,2\n3,4\n\r\n--f--\r\n"
)

_KINDS = ("pending", "uploaded", "completed", "failed", "aborted", "executing")


class Jobs:
    """One job of each kind, made again as soon as it is not what it was."""

    kinds = _KINDS

    def __init__(self, site: Site) -> None:
        self._site = site
        self._paths: dict[str, str] = {}

    def path(self, kind: str) -> str:
        """`NAME/ID` of a job of that kind."""
        if kind not in self._paths:
            self._paths[kind] = self._make(kind).partition("/rest/")[2]
        return self._paths[kind]

    def changed(self, path: str) -> None:
        """Somebody may have changed or deleted this one."""
        self._paths = {kind: one for kind, one in self._paths.items() if one != path}

    def _make(self, kind: str) -> str:
        site = self._site
        if kind == "uploaded":
            headers = {"Content-Type": "multipart/form-data; boundary=f"}
            return site.post("/rest/say", body=_FILE, headers=headers).location
        if kind == "pending":
            return site.create("say", {"text": "not yet", "RUNID": "a 'run'"}, run=False)
        if kind == "executing":
            job = site.create("nap")
            site.wait(job, {"EXECUTING"})
            return job
        if kind == "aborted":
            job = site.create("say", run=False)
            site.post(f"{job}/phase", {"PHASE": "ABORT"})
            return job
        job = site.create("fail" if kind == "failed" else "say", {"text": "word\u00e9"})
        site.wait(job)
        return job


@contextmanager
def asked_site() -> Iterator[tuple[Site, Jobs]]:
    """A server without rights whose jobs do no harm, whatever their values are."""
    with attacked_site() as one:
        jobs = 'max_wait = 1\nfetch_hosts = ["127.0.0.9"]'
        one.configure(jobs=jobs, manager='use = "local"\nmax_jobs = 6')
        for name, script in (("say", _WRITE), ("fail", "exit 3\n"), ("nap", "sleep 600\n")):
            one.describe(name, script, _SAY.replace('path="ledger"', f'path="{name}"'))
        one.serve()
        try:
            yield one, Jobs(one)
        finally:
            for name in ("say", "fail", "nap"):
                for job_id in one.jobs(name):
                    one.request("DELETE", f"/rest/{name}/{job_id}")


def faults(site: Site) -> list[str]:
    """What the log has of faults of ours."""
    lines = (site.folder / "data" / "opus.log").read_text().splitlines()
    return [line for line in lines if "ERROR" in line.split(" ")[1:2] or "Traceback" in line]
