"""Any UWS server, asked for nothing but what UWS has."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urljoin
from xml.etree import ElementTree

from benchmarks.asking import Request, ask, create, get, post
from benchmarks.figure import Failed
from benchmarks.jobs import LONGEST, OVER

_LIST = re.compile(rb"<(?:\w+:)?jobs\b[^>]*>")
_VERSION = re.compile(rb"\bversion=[\"']1\.1[\"']")
_RESULT = "{http://www.ivoa.net/xml/UWS/v1.0}result"
_HREF = "{http://www.w3.org/1999/xlink}href"
_DELETED = (200, 204, 303, 404)
_PAUSE = 0.1  # [s] between two questions for a phase at first; then longer, up to
_LONGEST_PAUSE = 1.0


class Lacking(Exception):
    """A server has not got what is to be measured; the message says what, in a sentence."""


def find_list(url: str, names: Iterable[str], headers: Mapping[str, str]) -> str | None:
    """The first of these addresses that is the list of jobs of a UWS: /rest/NAME and /NAME below
    the URL for each name, and the URL itself for an empty one."""
    url = url.rstrip("/")
    for name in names:
        for place in (f"{url}/rest/{name}", f"{url}/{name}") if name else (url,):
            try:
                answer = ask(get(f"{place}?LAST=1", headers=headers))
            except Failed:
                continue
            if _LIST.search(answer.body):
                return place
    return None


def beside(job_list: str, name: str, headers: Mapping[str, str]) -> str | None:
    """The list of another job of the same server."""
    return find_list(urljoin(job_list, name), [""], headers)


@dataclass
class Service:
    """One list of jobs, and what was made in it."""

    label: str
    url: str
    big: str | None  # the list whose jobs have a large result
    fields: Mapping[str, str]  # of a new job
    headers: Mapping[str, str]
    _job: str = ""
    _result: str = ""
    _made: list[str] = field(default_factory=list)

    @property
    def job(self) -> str:
        """A job that stays PENDING, to be looked at."""
        self._job = self._job or self.create()
        return self._job

    @property
    def result(self) -> str:
        """The URL of a result. Raises `Lacking` where jobs have none."""
        if not self._result:
            job = self._create(self.big, {}) if self.big else self.create()
            phase = self.run(job)
            if phase != "COMPLETED":
                raise Failed(f"the job that is to have a result is {phase} after {LONGEST:g} s")
            self._result = self._first_result(job)
        return self._result

    @property
    def has_last(self) -> bool:
        """UWS 1.0 has no filters, and answers the whole list."""
        found = _LIST.search(ask(get(f"{self.url}?LAST=1", headers=self.headers)).body)
        return bool(found and _VERSION.search(found[0]))

    def creation(self) -> Request:
        """The request that makes a job."""
        return post(self.url, self.fields, headers=self.headers)

    def create(self) -> str:
        return self._create(self.url, self.fields)

    def make(self, number: int) -> None:
        """See to it that there are so many jobs at least."""
        while len(self._made) < number:
            self.create()

    def run(self, job: str) -> str:
        """Run it; answers the phase in which it is when it is over, or in which it is stuck."""
        ask(post(f"{job}/phase", {"PHASE": "RUN"}, headers=self.headers))
        deadline = time.monotonic() + LONGEST
        pause = _PAUSE
        while True:
            phase = ask(get(f"{job}/phase", headers=self.headers)).text
            if phase in OVER or time.monotonic() > deadline:
                return phase
            # WAIT is not in every UWS, and few who wait stop some servers altogether.
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)

    def delete(self, jobs: Sequence[str]) -> None:
        """Whatever of these is there. Raises `Failed` if one cannot be deleted."""

        def one(job: str) -> None:
            ask(Request(urljoin(self.url, job), "DELETE", None, _DELETED, self.headers))

        with ThreadPoolExecutor(4) as clients:
            list(clients.map(one, jobs))

    def tidy(self) -> None:
        """Delete all that was made here one by one."""
        made, self._made = self._made, []
        self.delete(made)

    def _create(self, url: str, fields: Mapping[str, str]) -> str:
        job = create(url, fields, headers=self.headers)
        self._made.append(job)
        return job

    def _first_result(self, job: str) -> str:
        try:
            document = ElementTree.fromstring(ask(get(job, headers=self.headers)).body)
        except ElementTree.ParseError as error:
            raise Failed(f"{job} is no XML: {error}") from error
        for result in document.iter(_RESULT):
            if result.get(_HREF):
                return urljoin(job, result.get(_HREF))
        raise Lacking("its jobs have no result")
