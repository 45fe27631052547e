"""Two small UWS services by another hand: one of UWS 1.0, and one of 1.1 that never waits.

Jobs live in memory; what they do is to let time pass. Pages of all sites may ask (CORS) for what
needs no credentials, unless the service is `closed` to them. That of 1.0 has no DELETE, and its
lists say nothing of times; that of 1.1 has both, and the filters of the standard.

`mirror=URL` adds a result that is at that address. `busy=N` lets the next N questions about a job
be refused for a second; `asked`, which the job of UWS 1.1 shows among its parameters, counts the
questions.
"""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, parse_qsl, urlsplit

from web import answering_by

UWS = "http://www.ivoa.net/xml/UWS/v1.0"
XLINK = "http://www.w3.org/1999/xlink"
QUEUED = 0.3  # [s]


@dataclass
class Job:
    id: str
    parameters: list[tuple[str, str]]
    began: float | None = None
    aborted: bool = False
    asked: int = 0
    busy: int = 0
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    run_id: str = ""

    @property
    def phase(self) -> str:
        if self.aborted:
            return "ABORTED"
        if self.began is None:
            return "PENDING"
        seconds = float(dict(self.parameters).get("seconds", "1"))
        passed = time.monotonic() - self.began
        if passed < QUEUED:
            return "QUEUED"
        return "EXECUTING" if passed < seconds else "COMPLETED"


@dataclass
class Service:
    """One job list at `/async`."""

    recent: bool
    closed: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    made: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def document(self, job: Job) -> str:
        shown = [*job.parameters, *([("asked", str(job.asked))] if self.recent else [])]
        parameters = "".join(
            f'<parameter id="{html.escape(name)}">{html.escape(value)}</parameter>'
            for name, value in shown
        )
        results = f'<result id="answer" x:href="{job.id}/results/answer"/>'
        if mirror := dict(job.parameters).get("mirror"):
            results += f'<result id="copy" x:href="{html.escape(mirror)}" mime-type="text/plain"/>'
        version = ' version="1.1"' if self.recent else ""
        encoding = "UTF-8" if self.recent else "ISO-8859-1"
        return (
            f'<?xml version="1.0" encoding="{encoding}"?>'
            f'<job xmlns="{UWS}" xmlns:x="{XLINK}"{version}><jobId>{job.id}</jobId>'
            f"{self._more('', job)}"
            f"<phase>{job.phase}</phase><quote/><executionDuration>0</executionDuration>"
            f"<parameters>{parameters}</parameters>"
            f"<results>{results if job.phase == 'COMPLETED' else ''}</results></job>"
        )

    def _more(self, prefix: str, job: Job) -> str:
        """What UWS 1.1 says of a job besides, in documents and in lists."""
        said = {"runId": job.run_id, "ownerId": "somebody", "creationTime": job.created.isoformat()}
        parts = (
            f"<{prefix}{name}>{html.escape(text)}</{prefix}{name}>" for name, text in said.items()
        )
        return "".join(parts) if self.recent else ""

    def list(self, query: dict[str, list[str]]) -> str:
        jobs = list(self.jobs.values())
        if self.recent:
            if phases := query.get("PHASE"):
                jobs = [job for job in jobs if job.phase in phases]
            if after := query.get("AFTER"):
                jobs = [job for job in jobs if job.created > datetime.fromisoformat(after[0])]
            if last := query.get("LAST"):
                jobs = sorted(jobs, key=lambda job: job.created)[: -int(last[0]) - 1 : -1]
        rows = "".join(
            f'<u:jobref id="{job.id}" x:href="async/{job.id}">'
            f"<u:phase>{job.phase}</u:phase>{self._more('u:', job)}</u:jobref>"
            for job in jobs
        )
        version = ' version="1.1"' if self.recent else ""
        return f'<u:jobs xmlns:u="{UWS}" xmlns:x="{XLINK}"{version}>{rows}</u:jobs>'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: Service

    def do_OPTIONS(self) -> None:
        self._send(204, "")

    def do_GET(self) -> None:
        steps = self._steps()
        service = self.service
        with service.lock:
            if steps == ["async"]:
                return self._send(200, service.list(parse_qs(urlsplit(self.path).query)))
            job = service.jobs.get(steps[1]) if len(steps) > 1 else None
            if job is None:
                return self._lost()
            match steps[2:]:
                case []:
                    job.asked += 1
                    if job.busy and job.asked > 1:  # the first is the redirect's
                        job.busy -= 1
                        return self._send(503, "no time", headers={"Retry-After": "1"})
                    return self._send(200, service.document(job))
                case ["phase"]:
                    return self._send(200, job.phase, "text/plain")
                case ["results"]:
                    href = f"http://{self.headers['Host']}/async/{job.id}/results/answer"
                    result = f'<result id="answer" x:href="{href}"/>'
                    head = f'<results xmlns="{UWS}" xmlns:x="{XLINK}">'
                    return self._send(200, f"{head}{result}</results>")
                case ["results", "answer"]:
                    return self._send(200, "42", "text/plain")
        return self._lost()

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        form = self._form(self.rfile.read(length))
        steps = self._steps()
        service = self.service
        with service.lock:
            if steps == ["async"]:
                service.made += 1
                job = Job(str(service.made), [])
                job.busy = int(dict(form).get("busy", "0"))
                # In UWS 1.0 nothing is said of PHASE in a creation: here it is a parameter.
                runs = service.recent and ("PHASE", "RUN") in form
                known = ("PHASE", "RUNID") if service.recent else ()
                job.parameters = [pair for pair in form if pair[0] not in known]
                job.run_id = dict(form).get("RUNID", "")
                job.began = time.monotonic() if runs else None
                service.jobs[job.id] = job
                return self._redirect(f"/async/{job.id}")
            job = service.jobs.get(steps[1]) if len(steps) > 1 else None
            if job is None:
                return self._lost()
            if steps[2:] == ["phase"]:
                if ("PHASE", "RUN") in form:
                    job.began = time.monotonic()
                job.aborted = ("PHASE", "ABORT") in form
                return self._redirect(f"/async/{job.id}")
            if steps[2:] == [] and ("ACTION", "DELETE") in form:
                del service.jobs[job.id]
                return self._redirect("/async")
        return self._lost()

    def do_DELETE(self) -> None:
        if not self.service.recent:
            return self._send(405, "", headers={"Allow": "GET, POST"})
        _, *job = self._steps()
        with self.service.lock:
            if len(job) != 1 or self.service.jobs.pop(job[0], None) is None:
                return self._lost()
        return self._redirect("/async")

    def _form(self, body: bytes) -> list[tuple[str, str]]:
        """Names and values; of a file its name and its size."""
        kind = self.headers.get("Content-Type", "")
        if not kind.startswith("multipart/"):
            return parse_qsl(body.decode(), keep_blank_values=True)
        message = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
        form = []
        for part in message.walk():
            if (name := part.get_param("name", header="Content-Disposition")) is not None:
                data = part.get_payload(decode=True)
                file = part.get_filename()
                form.append((name, f"{file}, {len(data)} bytes" if file else data.decode()))
        return form

    def _steps(self) -> list[str]:
        parts = urlsplit(self.path)
        assert "WAIT" not in parse_qs(parts.query) or self.service.recent, (
            "it was not asked for that"
        )
        return parts.path.strip("/").split("/")

    def _lost(self) -> None:
        self._send(404, "<html><body><h1>Not Found</h1></body></html>", "text/html")

    def _redirect(self, where: str) -> None:
        self._send(303, "", headers={"Location": f"http://{self.headers['Host']}{where}"})

    def _send(
        self,
        status: int,
        body: str,
        kind: str = "text/xml",
        headers: dict[str, str] | None = None,
    ) -> None:
        data = body.encode("utf-8" if self.service.recent else "iso-8859-1", "xmlcharrefreplace")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        if not self.service.closed:
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Access-Control-Allow-Headers", "*")
            self.send_header("Access-Control-Allow-Methods", "GET, POST, DELETE")
            self.send_header("Access-Control-Expose-Headers", "Location, Retry-After")
        self.send_header("Date", formatdate(usegmt=True))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *said: object) -> None:
        return


@contextmanager
def foreign(*, recent: bool, closed: bool = False) -> Iterator[str]:
    """A service that runs; answers the address of its job list."""
    handler = type("Bound", (Handler,), {"service": Service(recent=recent, closed=closed)})
    with answering_by(handler) as origin:
        yield f"{origin}/async"
