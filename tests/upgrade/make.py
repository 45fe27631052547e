"""Make a data folder as a release of OPUS leaves it behind, with all that it told of its jobs.

    make.py PYTHON NAME

PYTHON is an interpreter in which that release is installed (core, SQLite, local manager, WADL);
`releases/NAME.tar.xz` is written beside this file. It needs root on Linux: the folder is
/srv/opus and its host old.example.org, in a mount and a host name of its own, so that nothing of
the machine which makes it is in it. Everything goes through what every release has: `opus`, HTTP,
and the web server's word for who is asking.

In the archive: the folder as it is after an ordinary stop, and `told.json`: by role, what was told
of each job, in XML, with hashes of its results, and its texts.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from upgrade.survey import MORE, ODD, SCRIPT, WADL, digest, form

HERE = Path(__file__).resolve().parent
SITE = Path("/srv/opus")
HOST = "old.example.org"
BASE = "http://opus.example.org"
OVER = {"COMPLETED", "ERROR", "ABORTED", "ARCHIVED"}


@dataclass
class Release:
    """A site run by one release, and what was asked of it."""

    python: str
    port: int
    web: subprocess.Popen[bytes] | None = None
    supervisor: subprocess.Popen[bytes] | None = None
    jobs: dict[str, str] = field(default_factory=dict)  # path of each job by its role
    owners: dict[str, str] = field(default_factory=dict)

    # -- processes

    def opus(self, *words: str) -> str:
        """What `opus` prints; nothing if it fails, as where this release has no such command."""
        done = subprocess.run(self._command(*words), capture_output=True, text=True, timeout=60)
        return "" if done.returncode else done.stdout

    def _command(self, *words: str) -> list[str]:
        return [self.python, "-m", "opus_core.cli", "--config", str(SITE / "opus.toml"), *words]

    def start_web(self) -> None:
        words = [self.python, str(HERE / "named.py"), "--config", str(SITE / "opus.toml")]
        self.web = subprocess.Popen([*words, str(self.port)])
        until(self._listens, "the server listens")

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def start_supervisor(self) -> None:
        self.supervisor = subprocess.Popen(self._command("supervise"))

    # -- requests

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, urllib.parse.urlsplit(path).path, body=body, headers=sent)
        answer = connection.getresponse()
        answer.content = answer.read()  # type: ignore[attr-defined]
        connection.close()
        return answer

    def post(self, path: str, owner: str, **fields: str) -> None:
        kind = "application/x-www-form-urlencoded"
        body = urllib.parse.urlencode(fields).encode()
        answer = self.ask("POST", path, body, Content_Type=kind, X_User=owner)
        assert answer.status == 303, answer.content

    def create(self, role: str, owner: str = "", *, file: bool = False, **fields: str) -> None:
        """One job; it is run if `fields` say so."""
        body, kind = form({"RUNID": role, **fields}, file=file)
        answer = self.ask("POST", "/rest/survey", body, Content_Type=kind, X_User=owner)
        assert answer.status == 303, answer.content
        self.jobs[role] = urllib.parse.urlsplit(answer.headers["Location"]).path
        self.owners[role] = owner

    def change(self, role: str, what: str, **fields: str) -> None:
        self.post(f"{self.jobs[role]}{what}", self.owners[role], **fields)

    def get(self, role: str, what: str = "", kind: str = "application/xml") -> bytes | None:
        path = f"{self.jobs[role]}{what}"
        answer = self.ask("GET", path, X_User=self.owners[role], Accept=kind)
        return answer.content if answer.status == 200 else None  # type: ignore[attr-defined]

    def phase(self, role: str) -> str:
        return (self.get(role, "/phase", "text/plain") or b"").decode().strip()

    def wait(self, role: str, *phases: str) -> None:
        until(lambda: self.phase(role) in (phases or OVER), f"{role} is {phases or 'over'}")

    # -- what it tells

    def told(self, role: str) -> dict[str, object]:
        """All of a job."""
        document = self.get(role)
        assert document is not None, role
        results = re.findall(rb'<(?:\w+:)?result\b[^>]*\bid="([^"]+)"', document)
        texts = {name: self.get(role, f"/{name}", "*/*") for name in ("stdout", "stderr")}
        return {
            "path": self.jobs[role],
            "owner": self.owners[role],
            "phase": self.phase(role),
            "xml": document.decode(),
            "results": {
                name.decode(): digest(self.get(role, f"/results/{name.decode()}", "*/*"))
                for name in results
            },
            "texts": {name: text.decode() for name, text in texts.items() if text is not None},
            "file": digest(file) if (file := self.get(role, "/parameters/file", "*/*")) else None,
        }


def until(what: Callable[[], object], claim: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {claim}"
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes] | None) -> None:
    """As an init system ends it."""
    assert process is not None
    process.terminate()
    process.wait(timeout=60)


def processes(job: str) -> Iterator[int]:
    """Of a job, by the tag that each has in its environment."""
    mark = f"-{job.rpartition('/')[2]}\0".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if mark in (entry / "environ").read_bytes():
                    yield int(entry.name)
            except OSError:
                continue


def cut_off(job: str) -> None:
    """As a power cut ends it."""
    for pid in processes(job):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not list(processes(job)), "its processes are gone")


# -- the site


def configure(release: Release) -> None:
    """What `opus init` of that release writes, and what an admin would change in it."""
    subprocess.run(
        [release.python, "-m", "opus_core.cli", "init", str(SITE)],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    text = (SITE / "opus.toml").read_text()
    for key, value in {
        "base_url": f'"{BASE}"',
        "log_file": '"opus.log"',
        "lease_seconds": "3.0",
        "grace": "2.0",
        "destruction_days": "36500",
        "destruction_days_max": "0",
        "archive": "true",
        "anonymous": "true",
        "anonymous_list": "true",
    }.items():
        text, found = re.subn(rf"(?m)^(# )?{key} = .*$", f"{key} = {value}", text, count=1)
        assert found, key
    text = text.replace('use = "local"', 'max_jobs = 4\nuse = "local"')
    (SITE / "opus.toml").write_text(text)


def describe(release: Release, version: int) -> None:
    """Publish a version of the description."""
    document, script = SITE / "survey.wadl", SITE / "survey.sh"
    document.write_text(WADL.format(version=version, more=MORE if version > 1 else ""))
    script.write_text(SCRIPT.format(version=version))
    words = ("--script", str(script), "--name", "survey", "--publish")
    assert release.opus("jdl", "import", str(document), *words)
    document.unlink()
    script.unlink()


def live(release: Release) -> dict[str, object]:
    """Jobs in every phase that there is without a cluster, and what was told of each."""
    describe(release, 1)
    # Since there are accounts.
    release.opus("user", "add", "ann", "--full-name", "Ann Éxample", "--email", "ann@example.org")
    token = release.opus("token", "add", "ann", "--name", "of old").strip()
    release.start_web()
    release.start_supervisor()
    release.create("completed, version 1", "ann", file=True, text=ODD, PHASE="RUN")
    release.create("pending, version 1", "ann", file=True, text="of version 1")
    release.wait("completed, version 1", "COMPLETED")
    describe(release, 2)
    release.create("completed, version 2", more="<&> ä", flag="true", PHASE="RUN")
    release.create("failed", "bob", code="3", PHASE="RUN")
    release.create("too long", EXECUTIONDURATION="1", seconds="60", PHASE="RUN")
    release.create("aborted", "ann", seconds="60", PHASE="RUN")
    release.wait("aborted", "EXECUTING")
    release.change("aborted", "/phase", PHASE="ABORT")
    release.create("aborted before it was run", "bob")
    release.change("aborted before it was run", "/phase", PHASE="ABORT")
    release.create("archived", "ann", file=True, PHASE="RUN")
    release.create("deleted", "ann", PHASE="RUN")
    release.create("expired", "ann", PHASE="RUN")
    for role in list(release.jobs):
        if not role.startswith("pending"):
            release.wait(role)
    soon = datetime.now(UTC) + timedelta(seconds=1)
    release.change("archived", "/destruction", DESTRUCTION=f"{soon:%Y-%m-%dT%H:%M:%SZ}")
    release.wait("archived", "ARCHIVED")
    release.create("pending", text=ODD, flag="true", EXECUTIONDURATION="77")
    # Nothing changes any more in these.
    settled = {role: release.told(role) for role in release.jobs if role not in _TO_CHANGE}

    for role in ("ended meanwhile", "cut off", "to be aborted", "to be deleted"):
        seconds = "4" if role == "ended meanwhile" else "600"
        release.create(role, "ann", file=True, seconds=seconds, text=ODD, PHASE="RUN")
        release.wait(role, "EXECUTING")
    release.create("in the queue", "bob", file=True, text=ODD, PHASE="RUN")
    job = release.jobs["in the queue"].rpartition("/")[2]
    until(lambda: list((SITE / "jobs").glob(f"**/{job}/run")), "the manager has it")
    end(release.supervisor)
    release.create("run by nobody yet", text=ODD, PHASE="RUN")
    release.change("to be aborted", "/phase", PHASE="ABORT")
    for role in ("deleted", "to be deleted"):
        release.change(role, "", ACTION="DELETE")
    past = datetime.now(UTC) - timedelta(seconds=1)
    release.change("expired", "/destruction", DESTRUCTION=f"{past:%Y-%m-%dT%H:%M:%SZ}")
    unsettled = {
        role: release.told(role)
        for role in release.jobs
        if role not in settled and role not in ("deleted", "to be deleted")
    }
    end(release.web)
    for role in ("cut off", "to be aborted", "to be deleted"):
        cut_off(release.jobs[role])
    until(lambda: not list(processes(release.jobs["ended meanwhile"])), "it has ended by itself")
    return {
        "settled": settled,
        "unsettled": unsettled,
        "deleted": [release.jobs[role] for role in ("deleted", "to be deleted")],
        "token": token,
    }


_TO_CHANGE = ("deleted", "expired")


def pack(target: Path) -> None:
    """The folder as an archive, of nobody's."""

    def nobody(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    # What SQLite keeps beside its file is many times as large as the file.
    with closing(sqlite3.connect(SITE / "opus.sqlite")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    target.parent.mkdir(exist_ok=True)
    with tarfile.open(target, "w:xz", preset=9, format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(SITE.rglob("*")):
            # These two name where Python lies.
            if path.name not in ("wsgi.py", "apache.conf"):
                archive.add(path, path.relative_to(SITE), recursive=False, filter=nobody)


def main() -> None:
    python, name = sys.argv[1:3]
    if sys.argv[3:] != ["inside"]:
        inside = f'mount -t tmpfs none {SITE.parent} && hostname {HOST} && exec "$@"'
        words = ["sh", "-c", inside, "sh", sys.executable, __file__, python, name, "inside"]
        sys.exit(subprocess.run(["unshare", "--mount", "--uts", *words], check=False).returncode)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    release = Release(python, port)
    try:
        configure(release)
        told = live(release)
        (SITE / "told.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        pack(HERE / "releases" / f"{name}.tar.xz")
    finally:
        for process in (release.web, release.supervisor):
            if process is not None and process.poll() is None:
                end(process)
        for job in release.jobs.values():
            cut_off(job)


if __name__ == "__main__":
    main()
