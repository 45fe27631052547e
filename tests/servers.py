"""A real OPUS for tests: its data folder, its processes, and a client that hides nothing."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OVER = {"COMPLETED", "ERROR", "ABORTED", "ARCHIVED"}


def eventually(what: Callable[[], Any], seconds: float = 30.0, every: float = 0.02) -> Any:
    """What `what` answers as soon as that is true; an AssertionError with its last answer if it
    never is."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s; last: {answer!r}"
        time.sleep(every)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return self.headers["Location"]


@dataclass
class Site:
    """A data folder with a configuration, and the processes that were started for it."""

    folder: Path
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    prefix: tuple[str, ...] = ()  # of every command, to run it as somebody else

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.configure()

    @property
    def config(self) -> Path:
        return self.folder / "opus.toml"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def configure(self, text: str = "", **tables: str) -> None:
        """Write opus.toml; `tables` replaces or adds whole tables by name."""
        parts = {
            "server": f"port = {self.port}\nthreads = 16",
            "supervisor": "lease_seconds = 3\ngrace = 2",
            "manager": 'use = "local"\nmax_jobs = 4',
            "auth": "anonymous = true\nanonymous_list = true",
            **tables,
        }
        body = "\n".join(f"[{name}]\n{content}\n" for name, content in parts.items())
        self.config.write_text(f'data_dir = "data"\nlog_file = "opus.log"\n{text}\n{body}')

    # -- job descriptions

    def opus(
        self, *arguments: str, check: bool = True, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "opus_core.cli", "--config", str(self.config), *arguments]
        return subprocess.run(
            [*self.prefix, *command],
            capture_output=True,
            text=True,
            check=check,
            timeout=60,
            input=input,
        )

    def describe(self, name: str, script: str, document: str) -> None:
        """Import and publish a job described in WADL."""
        wadl, code = self.folder / f"{name}.wadl", self.folder / f"{name}.script"
        wadl.write_text(document)
        code.write_text(script)
        self.opus("jdl", "import", str(wadl), "--script", str(code), "--name", name, "--publish")

    # -- processes

    def start(self, *arguments: str, program: Path | None = None) -> subprocess.Popen[bytes]:
        """Start `opus ARGUMENTS`, or a program of the test's with the same configuration."""
        run = [str(program)] if program else ["-m", "opus_core.cli"]
        with (
            (self.folder / "stdout.log").open("ab") as out,
            (self.folder / "stderr.log").open("ab") as err,
        ):
            process = subprocess.Popen(
                [*self.prefix, sys.executable, *run, "--config", str(self.config), *arguments],
                stdout=out,
                stderr=err,
                cwd=self.folder,
            )
        self.processes.append(process)
        return process

    def serve(self, *arguments: str, program: Path | None = None) -> subprocess.Popen[bytes]:
        process = self.start("serve", *arguments, program=program)
        self.wait_until_up(process)
        return process

    def wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        def up() -> bool:
            assert process.poll() is None, (self.folder / "stderr.log").read_text()[-3000:]
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                return False
            return True

        eventually(up)

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    # -- HTTP

    def request(
        self,
        method: str,
        path: str,
        fields: dict[str, str] | list[tuple[str, str]] | None = None,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 90,
    ) -> Answer:
        """One request, no redirect followed; `path` may be a whole URL of this server."""
        parts = urllib.parse.urlsplit(path)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = dict(headers or {})
        if fields is not None:
            body = urllib.parse.urlencode(fields).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    def post(self, path: str, fields: dict[str, str] | None = None, **options: Any) -> Answer:
        return self.request("POST", path, fields, **options)

    def create(self, name: str, fields: dict[str, str] | None = None, *, run: bool = True) -> str:
        """Create a job; answers its URL."""
        answer = self.post(f"/rest/{name}", {**(fields or {}), **({"PHASE": "RUN"} if run else {})})
        assert answer.status == 303, answer.text
        return answer.location

    def phase(self, job: str) -> str:
        answer = self.get(f"{job}/phase")
        assert answer.status == 200, answer.text
        return answer.text.strip()

    def wait(self, job: str, phases: set[str] = OVER, seconds: float = 30) -> str:
        return eventually(lambda: (now := self.phase(job)) in phases and now, seconds)

    def document(self, job: str) -> dict[str, Any]:
        answer = self.get(job, headers={"Accept": "application/json"})
        assert answer.status == 200, answer.text
        return json.loads(answer.body)

    def jobs(self, name: str) -> list[str]:
        """The ids of all jobs that are listed."""
        answer = self.get(f"/rest/{name}")
        assert answer.status == 200, answer.text
        return re.findall(r'<(?:\w+:)?jobref id="([^"]+)"', answer.text)

    def job_folder(self, job_id: str) -> Path:
        return self.folder / "data" / "jobs" / job_id[:2] / job_id


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    one = Site(folder)
    try:
        yield one
    finally:
        one.stop()


# A job that says whenever its script runs, for a while, and writes what it was told.
LEDGER_WADL = """<?xml version="1.0" encoding="UTF-8"?>
<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <resources base="http://localhost/rest/">
    <resource id="joblist" path="ledger">
      <doc title="description">Appends a line to a file whenever it runs</doc>
      <method id="create_job" name="POST">
        <request>
          <param style="query" name="ledger" type="xs:string" required="true"/>
          <param style="query" name="text" type="xs:string" default="hello"/>
          <param style="query" name="seconds" type="xs:double" default="0"/>
          <param style="query" name="code" type="xs:int" default="0"/>
        </request>
      </method>
      <resource id="job" path="{job-id}">
        <resource id="job_result_name" path="results/{result-id}">
          <param style="template" name="result-id" type="xs:string" required="true">
            <option value="output" mediaType="text/plain"><doc>What was said</doc></option>
          </param>
        </resource>
      </resource>
    </resource>
  </resources>
</application>
"""
LEDGER_SCRIPT = """\
echo ran >> "$ledger"
printf '%s' "$text" > "$output"
echo "running for $seconds s"
sleep "$seconds"
exit "$code"
"""


def describe_ledger(one: Site) -> None:
    one.describe("ledger", LEDGER_SCRIPT, LEDGER_WADL)


def runs(ledger: Path) -> int:
    """How often the script has run."""
    return len(ledger.read_text().splitlines()) if ledger.exists() else 0


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9, and wait until it is dead."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
