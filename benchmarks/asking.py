"""Requests, one at a time or as a load, each with the statuses that are right for it.

Whatever else comes is `Failed`: a server that refuses everything is fast, and must not pass.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figure import Failed

CHECKOUT = Path(__file__).resolve().parents[1]
SEE_OTHER = 303
TIMEOUT = 90.0  # [s], longer than any WAIT here

_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Request:
    """What is asked, by the whole URL, and what the answer's status may be."""

    url: str
    method: str = "GET"
    fields: Mapping[str, str] | None = None  # of a form
    statuses: tuple[int, ...] = (200,)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        parts = urllib.parse.urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    @property
    def body(self) -> bytes | None:
        return None if self.fields is None else urllib.parse.urlencode(self.fields).encode()

    @property
    def all_headers(self) -> dict[str, str]:
        form = {} if self.fields is None else {"Content-Type": _FORM}
        return {"Accept": "*/*", **form, **self.headers}

    def text(self) -> str:
        """As it is sent."""
        body = self.body
        length = {} if body is None else {"Content-Length": str(len(body))}
        headers = {"Host": urllib.parse.urlsplit(self.url).netloc, **self.all_headers, **length}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{self.method} {self.target} HTTP/1.1\r\n{lines}\r\n{(body or b'').decode()}"


def get(url: str, **more: Any) -> Request:
    return Request(url, **more)


def post(url: str, fields: Mapping[str, str], **more: Any) -> Request:
    """A form, answered in UWS by a 303."""
    return Request(url, "POST", fields, **{"statuses": (SEE_OTHER,), **more})


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace").strip()


def connect(url: str, timeout: float = TIMEOUT) -> http.client.HTTPConnection:
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=timeout)


def ask(request: Request) -> Answer:
    """One request on a connection of its own, no redirect followed."""
    connection = connect(request.url)
    what = f"{request.method} {request.url}"
    try:
        connection.request(request.method, request.target, request.body, request.all_headers)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{what}: {error!r}") from error
    finally:
        connection.close()
    if answer.status not in request.statuses:
        raise Failed(f"{what} answered {answer.status}: {answer.text[:200]}")
    return answer


def create(url: str, fields: Mapping[str, str], **more: Any) -> str:
    """Make a job in a list; answers its URL."""
    where = ask(post(url, fields, **more)).headers["Location"]
    if not where:
        raise Failed(f"POST {url} answered {SEE_OTHER} without saying where the job is")
    return urllib.parse.urljoin(url, str(where))


def load(*requests: Request, **plan: Any) -> dict[str, Any]:
    """Run the load generator on one server; `plan` and the answer are those of `load.py`."""
    parts = urllib.parse.urlsplit(requests[0].url)
    tls = parts.scheme == "https"
    document = {
        "host": parts.hostname,
        "port": parts.port or (443 if tls else 80),
        "tls": tls,
        "requests": [{"text": one.text(), "statuses": one.statuses} for one in requests],
        **plan,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(document),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"the load generator failed: {done.stderr.strip()[-300:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    if answer["wrong"]:
        raise Failed(answer["wrong"])
    return answer
