"""What `opus init` writes for systemd: it is valid, and restarts by it leave jobs running.

No systemd runs here. The units are read by systemd's own `systemd-analyze`, and obeyed by a few
lines that start and stop what they name as systemd would.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from opus_core.deployment import parts
from servers import LEDGER_WADL, eventually, runs
from services_missing import lacking
from wsgi.installed import PATIENT_SCRIPT, Installed

ANALYZE = Path("/usr/bin/systemd-analyze")
SERVE, SUPERVISE = "deploy/opus-serve.service", "deploy/opus-supervise.service"


class Unit:
    """One service as systemd runs it."""

    def __init__(self, file: Path) -> None:
        self.settings = parts.unit(file.read_text())
        self._log = file.with_suffix(".log")
        self._main: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = parts.command(self.settings["ExecStart"])
            self._main = subprocess.Popen(command, cwd="/", stdout=log, stderr=log)

    def stop(self) -> None:
        """SIGTERM for the main process, and unless it says otherwise for all below it, too."""
        if self._main is None:
            return
        below = descendants(self._main.pid)
        self._main.send_signal(signal.SIGTERM)
        if self.settings.get("KillMode", "control-group") == "control-group":
            for pid in below:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        assert self._main.wait(30) == 0, self._log.read_text()[-2000:]
        self._main = None


def descendants(pid: int) -> list[int]:
    found = []
    with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Installed:
    site = Installed(tmp_path_factory.mktemp("units") / "a folder of 100%")
    site.init(("grace = 90", "grace = 2"), ("lease_seconds =", "lease_seconds = 3"))
    site.edit("opus.toml", {"^anonymous = false$": "anonymous = true"})
    site.describe("ledger", PATIENT_SCRIPT, LEDGER_WADL)
    return site


@pytest.fixture
def up(one):
    """Starts a unit; what is started is stopped at the end."""
    started: list[Unit] = []

    def begin(name: str) -> Unit:
        unit = Unit(one.folder / name)
        started.append(unit)
        unit.start()
        return unit

    yield begin
    for unit in started:
        unit.stop()


def begun(one: Installed, ledger: Path) -> str:
    """A job whose script runs, and goes on."""
    eventually(lambda: listens(one))
    job = one.create("ledger", {"ledger": str(ledger)})
    eventually(lambda: runs(ledger) == 1)
    return job


def listens(one: Installed) -> bool:
    with suppress(OSError):
        return one.get("/healthz").status == 200
    return False


def test_systemd_has_nothing_to_say_against_the_units(one, tmp_path):
    if not ANALYZE.exists():
        lacking(f"there is no {ANALYZE}; Debian's systemd has it (tests/services/install)")
    units = [one.folder / SERVE, one.folder / SUPERVISE]
    assert verified(*units) == ""
    damaged = tmp_path / "damaged.service"
    damaged.write_text(units[0].read_text().replace("KillMode=process", "KillMode=proces"))
    assert "proces" in verified(damaged)


def verified(*units: Path) -> str:
    done = subprocess.run([ANALYZE, "verify", *units], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def test_a_restart_of_a_server_that_supervises_leaves_its_jobs_running(one, up, tmp_path):
    ledger = tmp_path / "ledger"
    server = up(SERVE)
    job = begun(one, ledger)
    server.stop()
    server.start()
    eventually(lambda: listens(one))
    one.end(ledger)
    assert one.wait(job) == "COMPLETED"
    assert runs(ledger) == 1


def test_so_do_restarts_of_a_server_and_of_a_supervisor_apart(one, up, tmp_path):
    one.edit("opus.toml", {r"^# embedded = \.\.\.$": "embedded = false"})
    try:
        ledger = tmp_path / "ledger"
        server, supervisor = up(SERVE), up(SUPERVISE)
        job = begun(one, ledger)
        for unit in (server, supervisor):
            unit.stop()
            unit.start()
        eventually(lambda: listens(one))
        one.end(ledger)
        assert one.wait(job) == "COMPLETED"
        assert runs(ledger) == 1
    finally:
        one.edit("opus.toml", {"^embedded = false$": "# embedded = ..."})


def test_as_systemd_stops_services_otherwise_the_job_is_lost(one, up, tmp_path):
    """So what the two tests above show is the unit's doing."""
    ledger = tmp_path / "ledger"
    server = up(SERVE)
    del server.settings["KillMode"]
    job = begun(one, ledger)
    server.stop()
    server.start()
    eventually(lambda: listens(one))
    assert one.wait(job) != "COMPLETED"
    assert runs(ledger) == 1
