"""A server to be measured: an OPUS in a folder of its own, with jobs that do little."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.asking import CHECKOUT, create
from benchmarks.figure import Failed

DESCRIPTIONS = Path(__file__).parent / "descriptions"
_STARTS = 30.0  # [s]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def process(command: list[str], port: int, **options: Any) -> Iterator[int]:
    """A server process that is up, ended afterwards; answers its pid."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, **options) as running:
        try:
            _wait_until_up(running, port)
            yield running.pid
        finally:
            running.terminate()
            try:
                running.wait(timeout=30)
            except subprocess.TimeoutExpired:
                running.kill()


def _wait_until_up(running: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _STARTS
    while time.monotonic() < deadline:
        if running.poll() is not None:
            raise Failed(f"the server ended with {running.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise Failed(f"the server did not come up within {_STARTS:g} s")


@contextmanager
def hello() -> Iterator[str]:
    """The server that does as little as one can; answers its URL."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.hello", str(port)]
    with process(command, port, cwd=CHECKOUT, stderr=subprocess.DEVNULL):
        yield f"http://127.0.0.1:{port}/"


class Site:
    """An OPUS with the job descriptions of this folder. Anonymous, with its log in a file."""

    def __init__(self, folder: Path, *, top: str = "", **tables: str) -> None:
        self.folder = folder
        self._top = top
        self._tables = {
            "manager": 'use = "local"\nmax_jobs = 8',
            "auth": "anonymous = true\nanonymous_list = true",
            **tables,
        }
        self.port = free_port()
        self.config = self._configure("opus.toml", self.port)
        for document in sorted(DESCRIPTIONS.glob("*.wadl")):
            script = document.with_suffix(".sh")
            self._opus("jdl", "import", str(document), "--script", str(script), "--publish")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def job_list(self, name: str = "nothing") -> str:
        """The URL of a job list."""
        return f"{self.url}/rest/{name}"

    def create(self, name: str = "nothing", **fields: str) -> str:
        """Make a job; answers its URL."""
        return create(self.job_list(name), fields)

    def new_user(self, name: str) -> str:
        """A user with an account; answers a token that may run jobs."""
        self._opus("user", "add", name)
        return self._opus("token", "add", name).strip()

    @contextmanager
    def serve(self) -> Iterator[int]:
        """Run the server; answers its pid."""
        with process(self._command("serve"), self.port, cwd=self.folder) as pid:
            yield pid

    @contextmanager
    def serve_beside(self) -> Iterator[str]:
        """A second server on the same data, without a supervisor; answers its URL."""
        port = free_port()
        tables = {**self._tables, "supervisor": "embedded = false"}
        config = self._configure("beside.toml", port, tables)
        with process(self._command("serve", config=config), port, cwd=self.folder):
            yield f"http://127.0.0.1:{port}"

    def _configure(self, name: str, port: int, tables: dict[str, str] | None = None) -> Path:
        parts = dict(self._tables if tables is None else tables)
        parts["server"] = f"port = {port}\n{parts.get('server', '')}"
        body = "\n".join(f"[{table}]\n{text}" for table, text in parts.items())
        config = self.folder / name
        top = f'data_dir = "data"\nlog_file = "{config.stem}.log"\n{self._top}'
        config.write_text(f"{top}\n{body}\n")
        return config

    def _command(self, *words: str, config: Path | None = None) -> list[str]:
        own = str(config or self.config)
        return [sys.executable, "-m", "opus_core.cli", "--config", own, *words]

    def _opus(self, *words: str) -> str:
        done = subprocess.run(
            self._command(*words), cwd=self.folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Failed(f"opus {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout


@contextmanager
def new_site(*, top: str = "", **tables: str) -> Iterator[Site]:
    """A site in a temporary folder. `tables` are added to its configuration, and `top` is what
    stands before all tables."""
    with tempfile.TemporaryDirectory(prefix=f"opus-bench-{os.getpid()}-") as folder:
        yield Site(Path(folder), top=top, **tables)
