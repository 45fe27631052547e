"""The commands of the page on installing, from wheels to a first job, as another user."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from attacked import as_nobody
from docs.blocks import DOCS
from isolated import NOBODY, needs_root, open_folder
from opus_core.testing.server import Server
from printed import marked, run

BLOCKS = marked(DOCS / "admin" / "install.md") | marked(DOCS / "admin" / "upgrade.md")


@pytest.fixture
def base():
    with open_folder() as folder:
        yield folder


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_from_wheels_to_a_first_job_by_the_commands_of_the_page(base: Path) -> None:
    needs_root()
    shutil.copytree(os.environ["OPUS_WHEELS"], base / "dist", ignore=lambda *_: {".gitignore"})
    etc = base / "root" / "etc"
    etc.mkdir(parents=True)
    for name in ("passwd", "group", "login.defs"):
        shutil.copy(f"/etc/{name}", etc / name)
    places = {
        ".venv/bin/python": sys.executable,
        "/opt/opus": base / "program",
        "--home-dir /srv/opus": "--home-dir /somewhere",
        "/srv/opus": base / "data",
        "useradd": f"useradd --prefix {base / 'root'}",
        "runuser -u opus --": " ".join(as_nobody()),
        "--user opus": f"--user {NOBODY}",
    }

    def say(name: str, **environ: str) -> str:
        clean = {"PYTHONPATH": "", "OPUS_CONFIG": "", **environ}
        return run(BLOCKS[name].text, places, cwd=base, environ=clean).stdout

    say("wheelhouse")
    listed = say("program")
    assert all(name in listed for name in ("sqlite", "postgresql", "slurm", "local", "wadl"))
    assert "opus:" in (etc / "passwd").read_text()
    first = say("folder")
    assert re.search(r"/signin/opus_", first)
    assert (base / "data").stat().st_uid != 0
    server = Server(base / "data")
    text = server.config.read_text()
    server.config.write_text(text.replace("# port = 8080", f"port = {server.port}"))
    places["http://127.0.0.1:8080"] = server.url
    assert "/signin/opus_" in say("link")
    found = say("check")
    assert re.search(r"^ok +probe: .*ran on ", found, re.MULTILINE)
    assert "error" not in found

    command = BLOCKS["serve"].text
    for printed, place in places.items():
        command = command.replace(printed, str(place))
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"], env={**os.environ, "PYTHONPATH": ""}
    )
    try:
        server.wait_until_up(process)
        said = say("job", LC_ALL="C.UTF-8")
        assert "strongest" in said
        assert list(base.glob("periodogram-*/*"))
        assert "/signin/opus_" in say("users")
        answer = server.get("/rest/periodogram")
        assert answer.status in (401, 403), "nobody is let in unknown"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    upgraded = say("upgrade")
    assert "No broken requirements found" in upgraded
    assert re.search(r"^ok +storage: sqlite", upgraded, re.MULTILINE)
