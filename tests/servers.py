"""A real OPUS for tests: its configuration, its descriptions, and a job that counts its runs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forked
from opus_core.testing.server import OVER, Answer, Server, free_port

__all__ = [
    "LEDGER_SCRIPT",
    "LEDGER_WADL",
    "OVER",
    "Answer",
    "Site",
    "describe_ledger",
    "eventually",
    "free_port",
    "kill",
    "runs",
    "site",
]


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


@dataclass
class Site(Server):
    """A server whose tables a test writes, each as TOML."""

    patience = 30.0
    afresh = False  # whether servers are started as their users start them, and not as forks

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.configure()

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

    def opus(
        self, *arguments: str, check: bool = True, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `opus ARGUMENTS` to its end, without the time that a start takes."""
        words = ["--config", str(self.config), *arguments]
        done = forked.run(words, prefix=self.prefix, input=input)
        if check:
            done.check_returncode()
        return done

    def start(self, *arguments: str, program: Path | None = None) -> subprocess.Popen[bytes]:
        """Start `opus ARGUMENTS`, or a program of the test's, without the time to load it."""
        if self.afresh:
            return super().start(*arguments, program=program)
        with (
            Path(os.devnull).open("rb") as nothing,
            (self.folder / "stdout.log").open("ab") as out,
            (self.folder / "stderr.log").open("ab") as err,
        ):
            process = forked.start(
                ["--config", str(self.config), *arguments],
                prefix=self.prefix,
                cwd=self.folder,
                files=(nothing, out, err),
                program=program,
            )
        self.processes.append(process)
        return process

    def describe(self, name: str, script: str, document: str) -> None:
        """Import and publish a job described in WADL."""
        wadl, code = self.folder / f"{name}.wadl", self.folder / f"{name}.script"
        wadl.write_text(document)
        code.write_text(script)
        self.opus("jdl", "import", str(wadl), "--script", str(code), "--name", name, "--publish")

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
