"""A server to be asked anything, and jobs in every state for the questions to be about."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attacked import attacked_site
from servers import LEDGER_WADL, Site, eventually

NOWHERE = "http://127.0.0.9"
"""From where inputs are fetched: an address of this machine where nothing listens."""
USERS = ("", "ann", "full", "pen")
SIGNED_IN = Path(__file__).with_name("signed_in.py")
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

_KINDS = (
    "pending",
    "uploaded",
    "completed",
    "failed",
    "aborted",
    "executing",
    "archived",
    "foreign",
)
_NAMES = ("say", "fail", "nap")
_LIVELY = "&".join(f"PHASE={phase}" for phase in ("QUEUED", "EXECUTING", "HELD", "SUSPENDED"))
_STOCK = 30  # archived jobs made at once: that takes the supervisor some seconds
_ACTIVE = 6  # jobs of one user


class Jobs:
    """One job of each kind, made again as soon as it is not what it was."""

    kinds = _KINDS

    def __init__(self, site: Site) -> None:
        self._site = site
        self._paths: dict[str, str] = {}
        self._archived: list[str] = []
        for _ in range(_ACTIVE):
            self._create("nap", user="full")

    def path(self, kind: str) -> str:
        """`NAME/ID` of a job of that kind."""
        if kind not in self._paths:
            self._paths[kind] = self._make(kind).partition("/rest/")[2]
        return self._paths[kind]

    def changed(self, path: str) -> None:
        """Somebody may have changed or deleted this one."""
        self._paths = {kind: one for kind, one in self._paths.items() if one != path}

    def remove(self) -> None:
        """Leave nothing that runs."""
        site, naps = self._site, []
        for name in _NAMES:
            for headers in map(as_, USERS):
                for job in re.findall(
                    r'<uws:jobref id="(\w+)"', site.get(f"/rest/{name}", headers=headers).text
                ):
                    assert (
                        site.request("DELETE", f"/rest/{name}/{job}", headers=headers).status == 303
                    )
                    naps += [job] if name == "nap" else []
        eventually(lambda: not any(site.job_folder(job).exists() for job in naps))

    def _make(self, kind: str) -> str:
        site = self._site
        if kind == "uploaded":
            headers = {"Content-Type": "multipart/form-data; boundary=f"}
            return site.post("/rest/say", body=_FILE, headers=headers).location
        if kind == "pending":
            return self._create("say", {"text": "not yet", "RUNID": "a 'run'"}, run=False)
        if kind == "foreign":
            return self._create("say", {"text": "ann's"}, run=False, user="ann")
        if kind == "archived":
            return self._take_archived()
        if kind == "executing":
            job = self._create("nap")
            site.wait(job, {"EXECUTING"})
            return job
        if kind == "aborted":
            job = self._create("say", run=False)
            site.post(f"{job}/phase", {"PHASE": "ABORT"})
            return job
        job = self._create("fail" if kind == "failed" else "say", {"text": "word\u00e9"})
        site.wait(job)
        return job

    def _take_archived(self) -> str:
        site = self._site
        if not self._archived:
            fields = {"text": "long ago", "DESTRUCTION": "2000-01-01"}
            made = [self._create("say", fields, run=False) for _ in range(_STOCK)]
            eventually(lambda: all(site.phase(job) == "ARCHIVED" for job in made))
            self._archived = made
        return self._archived.pop()

    def _create(
        self, name: str, fields: dict[str, str] | None = None, *, run: bool = True, user: str = ""
    ) -> str:
        """Create a job, as soon as the quota lets that happen."""
        fields = {**(fields or {}), **({"PHASE": "RUN"} if run else {})}

        def created() -> str | None:
            answer = self._site.post(f"/rest/{name}", fields, headers=as_(user))
            assert answer.status in (303, 429), answer.text
            if answer.status == 429:
                self._make_room(user)
            return answer.location

        return eventually(created)

    def _make_room(self, user: str) -> None:
        """Remove what somebody has that is not over, but for what is one of the kinds: it was
        changed since, as to wait for an input that never comes, or made at random."""
        site, headers = self._site, as_(user)
        for name in _NAMES:
            answer = site.get(f"/rest/{name}?{_LIVELY}", headers=headers)
            for job in re.findall(r'<uws:jobref id="(\w+)"', answer.text):
                if f"{name}/{job}" not in self._paths.values():
                    site.request("DELETE", f"/rest/{name}/{job}", headers=headers)


def as_(user: str) -> dict[str, str]:
    """The headers of a request by somebody."""
    return {"Authorization": f"Bearer {user}"} if user else {}


@contextmanager
def asked_site() -> Iterator[tuple[Site, Jobs]]:
    """A server without rights whose jobs do no harm, whatever their values are. It knows `ann`,
    who has jobs of her own, and `full`, who may have no more of them."""
    with attacked_site() as one:
        jobs = 'max_wait = 1\nfetch_hosts = ["127.0.0.9"]\narchive = true\n'
        jobs += f"max_active_per_user = {_ACTIVE}"
        one.configure(jobs=jobs, manager=f'use = "local"\nmax_jobs = {2 * _ACTIVE + 2}')
        for name, script in (("say", _WRITE), ("fail", "exit 3\n"), ("nap", "sleep 600\n")):
            one.describe(name, script, _SAY.replace('path="ledger"', f'path="{name}"'))
        one.serve(program=SIGNED_IN)
        found = Jobs(one)
        try:
            yield one, found
        finally:
            found.remove()


def faults(site: Site) -> list[str]:
    """What the log has of faults of ours."""
    lines = (site.folder / "data" / "opus.log").read_text().splitlines()
    return [line for line in lines if "ERROR" in line.split(" ")[1:2] or "Traceback" in line]
