"""A PostgreSQL of one's own: on a free port of the loopback, in a folder, for as long as a test.

with private_server() as database:
    psycopg.connect(database.url())
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers import eventually, free_port
from services.machine import passable

USER = "opus"


def programs() -> Path | None:
    """The folder of the newest server that is installed."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda one: int(one.parts[4])
    )
    return found[-1].parent if found else None


@dataclass
class Server:
    """Starts and stops; its data stay in the folder."""

    folder: Path
    programs: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    @property
    def where(self) -> tuple[str, ...]:
        """How its programs are told which one it is."""
        return ("-h", "127.0.0.1", "-p", str(self.port), "-U", USER)

    @property
    def environ(self) -> dict[str, str]:
        """The same in variables."""
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": USER}

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, **self._as())
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def start(self) -> None:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "max_connections": 60,
            "shared_buffers": "16MB",
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *words],
                stdout=log,
                stderr=log,
                **self._as(),
            )
        eventually(self._ready)

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
        ready = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: fast; SIGQUIT: at once, as after a power cut."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(how)
        process.wait(timeout=30)

    def _as(self) -> dict[str, Any]:
        """It does not run as root."""
        if os.geteuid() != 0:
            return {}
        nobody = pwd.getpwnam("nobody")
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}


@contextmanager
def private_server() -> Iterator[Server]:
    """One in a new folder of the temporary ones, which is removed afterwards.

    Not in pytest's own folders, into which nobody else may look.
    """
    with tempfile.TemporaryDirectory(prefix="opus-postgresql-", dir=passable()) as folder:
        Path(folder).chmod(0o755)
        with server(Path(folder) / "server") as one:
            yield one


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """One that runs, with nothing in it, in a folder that is made for it."""
    found = programs()
    if found is None:
        from services_missing import lacking  # of pytest's, which not everybody has who runs this

        lacking("there is no PostgreSQL; Debian's postgresql has it")
    folder.mkdir(mode=0o755)
    one = Server(folder, found)
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    init = ("-D", str(folder / "data"), "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-sync")
    # An order that is not that of code points, in which texts have to compare all the same.
    order = ("--locale-provider=icu", "--icu-locale=en-US") if int(found.parts[4]) >= 15 else ()
    one.run("initdb", *init, "--locale=C.UTF-8", *order)
    one.start()
    try:
        yield one
    finally:
        one.stop()
