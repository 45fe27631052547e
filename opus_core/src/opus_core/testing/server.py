"""A real OPUS for tests: its folder, its processes, and a client that hides nothing."""

from __future__ import annotations

import atexit
import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final

from opus_core.testing.timing import PATIENCE, eventually

__all__ = ["OVER", "Answer", "Server", "free_port"]

OVER: Final = frozenset({"COMPLETED", "ERROR", "ABORTED", "ARCHIVED"})

_ROOM: Final = 3000  # characters of a log that a failure shows

# Below those that systems give to connections going out, any of which could come in between.
_PORTS: Final = range(20000, 32000)
_BLOCK: Final = 120  # of them for a process, so that tests side by side do not meet
_BLOCKS: Final = len(_PORTS) // _BLOCK
_offered = itertools.count()

Fields = Mapping[str, str] | Sequence[tuple[str, str]]


def free_port() -> int:
    """One that nobody listens on just now, and that was not offered a short while ago."""
    first, _ = _block(os.getpid())
    for _ in range(_BLOCK):
        port = _PORTS[first + next(_offered) % _BLOCK]
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no port from {_PORTS[first]} to {_PORTS[first] + _BLOCK - 1} is free")


@cache
def _block(pid: int) -> tuple[int, socket.socket]:
    """Where the ports begin that this process offers and no other, and what keeps the others from
    them for as long as this process lives: a name that the kernel gives to one only."""
    for number in range(pid, pid + _BLOCKS):
        taken = socket.socket(socket.AF_UNIX)
        try:
            taken.bind(f"\0opus-ports-{number % _BLOCKS}")
        except OSError:
            taken.close()
            continue
        atexit.register(taken.close)
        return number % _BLOCKS * _BLOCK, taken
    raise AssertionError(f"{_BLOCKS} processes offer ports already; end some of them")


@dataclass
class Answer:
    """What came back, as it came."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def location(self) -> str:
        """The header Location; KeyError if there is none."""
        return self.headers["Location"]


@dataclass
class Server:
    """A folder with a configuration, `opus.toml`, and the processes that were started for it."""

    folder: Path
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    prefix: tuple[str, ...] = ()  # words before every command, such as those of env(1)
    headers: Mapping[str, str] = field(default_factory=dict)  # of every request

    patience: ClassVar[float] = PATIENCE  # [s] for what is due at once
    # Whether it is up when it answers, and not as soon as something listens: where a server was
    # killed that had just forked a job, that holds its socket until it has become the script.
    answers: ClassVar[bool] = False

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.folder / "opus.toml"

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    # -- processes

    def opus(
        self, *arguments: str, check: bool = True, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `opus ARGUMENTS` to its end."""
        command = [sys.executable, "-m", "opus_core.cli", "--config", str(self.config), *arguments]
        return subprocess.run(
            [*self.prefix, *command],
            capture_output=True,
            text=True,
            check=check,
            timeout=60,
            input=input,
        )

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
        """Start the web server, and wait until it listens."""
        process = self.start("serve", *arguments, program=program)
        self.wait_until_up(process)
        return process

    def wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until it listens, or `answers`; AssertionError with what it has written if it does
        not."""

        def up() -> bool:
            assert process.poll() is None, f"the server does not start:\n{self._said()}"
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                if self.answers:
                    self.get("/healthz", timeout=5)
            except (OSError, http.client.HTTPException):
                return False
            return True

        eventually(up, lambda: f"the server is up; it says\n{self._said()}", max(30, self.patience))

    def _said(self) -> str:
        """The end of what it has written."""
        logs = [self.folder / name for name in ("stderr.log", "data/opus.log")]
        return "\n".join(log.read_text()[-_ROOM:] for log in logs if log.exists())

    def stop(self) -> None:
        """End all processes that were started, by SIGTERM, and by SIGKILL those that stay."""
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
        fields: Fields | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 90,
    ) -> Answer:
        """One request, no redirect followed; `path` may be a whole URL of this server."""
        parts = urllib.parse.urlsplit(path)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        sent = {**self.headers, **(headers or {})}
        if fields is not None:
            body = urllib.parse.urlencode(fields).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, target, body=body, headers=sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **options: Any) -> Answer:  # noqa: ANN401
        """GET, as `request`."""
        return self.request("GET", path, **options)

    def post(self, path: str, fields: Fields | None = None, **options: Any) -> Answer:  # noqa: ANN401
        """POST, as `request`."""
        return self.request("POST", path, fields, **options)

    def create(
        self, name: str, fields: Mapping[str, str] | None = None, *, run: bool = True
    ) -> str:
        """Create a job; answers its URL."""
        answer = self.post(f"/rest/{name}", {**(fields or {}), **({"PHASE": "RUN"} if run else {})})
        assert answer.status == 303, answer.text
        return answer.location

    def phase(self, job: str) -> str:
        """Its phase as it is now."""
        answer = self.get(f"{job}/phase")
        assert answer.status == 200, answer.text
        return answer.text.strip()

    def wait(self, job: str, phases: Collection[str] = OVER, seconds: float | None = None) -> str:
        """Wait until the job is in one of these phases, and answer it."""
        return eventually(
            lambda: now if (now := self.phase(job)) in phases else "",
            f"the job is {' or '.join(sorted(phases))}",
            self.patience if seconds is None else seconds,
        )

    def document(self, path: str) -> dict[str, Any]:
        """A document of the server's, a job's for example, in JSON."""
        answer = self.get(path, headers={"Accept": "application/json"})
        assert answer.status == 200, answer.text
        content: dict[str, Any] = json.loads(answer.body)
        return content

    def jobs(self, name: str) -> list[str]:
        """The ids of all jobs that are listed."""
        answer = self.get(f"/rest/{name}")
        assert answer.status == 200, answer.text
        return re.findall(r'<(?:\w+:)?jobref id="([^"]+)"', answer.text)
