"""Clients that read: documents, lists, results and uploads, and what must be the same each time."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

from servers import OVER, Answer
from soak.asking import Asking
from soak.book import Entry
from soak.job import JOB

_JSON = {"Accept": "application/json"}


class Reader(Asking):
    """All that clients ask without changing anything."""

    def wait(self) -> None:
        entry = self.book.any(self.dice, [e for e in list(self.book.open) if e.run])
        if entry is None:
            return
        seconds = self.dice.choice([1, 2, 3])
        begin = time.monotonic()
        answer = self.ask("GET", f"{entry.url}?WAIT={seconds}", 200, 404)
        took = time.monotonic() - begin
        if answer is not None and took > seconds + 5:
            self.book.count(f"WAIT={seconds} answered more than 5 s late")
        self.see(entry, answer)

    def show(self) -> None:
        entry = self.book.any(self.dice, self.book.open)
        if entry is None:
            return
        what = self.dice.choice(["", "/phase", "/stdout", "/parameters", "/results", "/quote"])
        accept = self.dice.choice(["application/xml", "application/json", "text/html"])
        # 406: an atom is text.  404: deleted, or no stdout yet.
        answer = self.ask("GET", entry.url + what, 200, 404, 406, headers={"Accept": accept})
        if not what and accept == "application/xml":
            self.see(entry, answer)

    def see(self, entry: Entry, answer: Answer | None) -> None:
        """Believe what a job document says, if it may say so."""
        if answer is None or answer.status == 503:
            return
        if answer.status == 404:
            if not entry.delete:
                self.book.fault(f"{entry.url} is not there, and nobody deleted it", "lost")
            self.book.close(entry)
            return
        if any(f"phase>{end}<".encode() in answer.body for end in OVER):
            self.book.close(entry)

    def result(self) -> None:
        entry = self.book.any(self.dice, self.book.over[-50:])
        if entry is None:
            return
        path, output = f"{entry.url}/results/output", entry.output
        if len(output) < 10 or self.dice.random() < 0.5:
            answer = self.ask("GET", path, 200, 404)
            if answer is not None and answer.status == 200 and self.book.whole(entry):
                self.book.compare(path, answer.body, output)
                tag = {"If-None-Match": answer.headers["ETag"]}
                self.ask("GET", path, 304, 404, headers=tag)
            return
        begin = self.dice.randrange(len(output))
        end = self.dice.randrange(begin, len(output))
        headers = {"Range": f"bytes={begin}-{end}"}
        # 416: it was stopped before it had written that much; 200: before it had written any.
        answer = self.ask("GET", path, 200, 206, 404, 416, headers=headers)
        if answer is not None and answer.status == 200 and answer.body:
            self.book.fault(f"{path} was sent whole, not {headers}")
        if answer is None or answer.status == 503 or not self.book.whole(entry):
            return
        if answer.status == 206:
            self.book.compare(f"{path} {headers}", answer.body, output[begin : end + 1])
        elif answer.status in (200, 416):
            self.book.fault(f"{path} has no {headers}")

    def file(self) -> None:
        """What was sent comes back."""
        sent = [one for one in self.book.open + self.book.over[-200:] if one.upload]
        entry = self.book.any(self.dice, sent)
        if entry is None or entry.upload is None:
            return
        answer = self.ask("GET", f"{entry.url}/parameters/file", 200, 404)
        if answer is not None and answer.status == 200:
            self.book.compare(f"the upload of {entry.url}", answer.body, entry.upload.content)
        elif answer is not None and answer.status == 404 and not entry.delete:
            self.book.fault(f"the upload of {entry.url} is not there", "lost")

    def list(self) -> None:
        """One page, by every filter there is."""
        an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
        query = self.dice.choice(
            [
                "",
                "LAST=20",
                "PHASE=EXECUTING&PHASE=QUEUED",
                "PHASE=ERROR&SORT=-ended&LIMIT=30",
                "SORT=phase&LIMIT=50",
                f"AFTER={an_hour_ago:%Y-%m-%dT%H:%M:%SZ}&LIMIT=50",
                f"BEFORE={an_hour_ago:%Y-%m-%dT%H:%M:%SZ}",
                f"TEXT={self.name}&LIMIT=20",
            ]
        )
        answer = self.ask("GET", f"/rest/{JOB}?{query}", 200, headers=_JSON)
        if answer is None or answer.status != 200:
            return
        wanted = [part.removeprefix("PHASE=") for part in query.split("&") if "PHASE=" in part]
        jobs = json.loads(answer.body)["jobs"]
        if wanted and (wrong := {job["phase"] for job in jobs} - set(wanted)):
            self.book.fault(f"a list of {query} has jobs that are {wrong}")
        if "TEXT" in query and not all(self.name in job["runId"] for job in jobs):
            self.book.fault(f"a list of {query} has jobs of others")

    def walk(self) -> None:
        """All pages, by their cursors: whoever was there all the time is on one of them, once."""
        with self.book.lock:
            since = time.time() - self.dice.choice([20, 60, 60, 300])
            there = [one for one in self.book.entries if one.url and one.created > since]
        instant = datetime.fromtimestamp(since - 1, UTC)
        sort = self.dice.choice(["created", "-created"])
        path = f"/rest/{JOB}?AFTER={instant:%Y-%m-%dT%H:%M:%SZ}&SORT={sort}&LIMIT=40"
        found: list[str] = []
        while path:
            answer = self.ask("GET", path, 200, headers=_JSON)
            if answer is None or answer.status != 200:
                return
            found += [job["jobId"] for job in json.loads(answer.body)["jobs"]]
            links = answer.headers["Link"] or ""
            following = [one for one in links.split(",") if 'rel="next"' in one]
            path = following[0].partition("<")[2].partition(">")[0] if following else ""
        self.book.count("lists walked to their end")
        if len(found) != len(set(found)):
            self.book.fault(f"{len(found) - len(set(found))} jobs were on two pages", "twice")
        for entry in there:
            if not entry.delete and entry.id not in found:
                self.book.fault(f"{entry.url} is on no page of the list by {sort}", "lost")
