"""The proof that anybody can write a plugin: one that knows nothing of this repository runs a job.

It is written into a folder outside, built as a wheel and installed beside wheels of the core in an
environment of its own, with three broken plugins for neighbours.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
OURS = ("opus_core", "opus_storage_sqlite", "opus_jdl_wadl")

# What a stranger writes: a scheduler that is nothing but processes, each with a record of its pid.
MANAGER = '''
"""Jobs as processes of their own, each with a record `TAG~NATIVE_ID` that holds its pid."""
import os
import signal
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from opus_core import hookimpl
from opus_core.backends import Cause, Kind, Manager, Status
from opus_core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Options:
    greeting: str
    records: Path = Path("meadow")


class MeadowManager(Manager):
    name = "meadow"
    about = "jobs that run free"
    Options = Options
    poll_interval = 0.2

    def check(self):
        if not self.options.greeting.isalpha():
            raise ConfigError("[manager] greeting must be a word")
        self.options.records.mkdir(parents=True, exist_ok=True)

    def start(self, task):
        native_id = uuid.uuid4().hex
        environment = {
            "PATH": os.environ["PATH"],
            "OPUS_CLAIMANT": native_id,
            "OPUS_FOLDER": str(task.folder),
            "MEADOW": self.options.greeting,
        }
        process = subprocess.Popen(
            ["bash", str(task.folder / "run")], env=environment, start_new_session=True
        )
        (self.options.records / f"{task.ref.tag}~{native_id}").write_text(str(process.pid))
        return native_id

    def find(self, tags):
        return {tag: tuple(name for name, _ in self._records(tag)) for tag in tags}

    def get_status(self, refs):
        return {ref: self._status(ref) for ref in refs}

    def abort(self, ref):
        for native_id, pid in self._records(ref.tag):
            if self._runs(native_id, pid):
                os.killpg(pid, signal.SIGTERM)

    def delete(self, task):
        for record in self.options.records.glob(f"{task.ref.tag}~*"):
            record.unlink(missing_ok=True)

    def _records(self, tag):
        files = self.options.records.glob(f"{tag}~*")
        return [(file.name.split("~")[1], int(file.read_text() or 0)) for file in files]

    def _runs(self, native_id, pid):
        try:
            return native_id.encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False

    def _status(self, ref):
        pid = dict(self._records(ref.tag)).get(ref.native_id)
        if pid is None:
            return Status(kind=Kind.GONE)
        if self._runs(ref.native_id, pid):
            return Status(kind=Kind.RUNNING, native_state="grazing")
        return Status(kind=Kind.ENDED, cause=Cause.OK, native_state="home")


@hookimpl
def opus_register_manager():
    return MeadowManager
'''

BROKEN = {
    "thicket": ("import no_such_module", "No module named 'no_such_module'"),
    "bramble": (
        """
        from opus_core import hookimpl

        @hookimpl
        def opus_job_phase_changed(chang): ...
        """,
        "opus_job_phase_changed has no argument chang",
    ),
    "nettle": (
        """
        from opus_core import hookimpl
        from opus_core.backends import Manager

        class Nettle(Manager):
            name = "nettle"
            about = "jobs that sting"
            def start(self, task): ...
            def get_status(self, refs): ...
            def abort(self, ref): ...

        @hookimpl
        def opus_register_manager():
            return Nettle
        """,
        "Nettle does not implement find",
    ),
}

WADL = """<?xml version="1.0"?>
<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <resources base="http://localhost/">
    <resource id="joblist" path="greeting">
      <doc title="description">Greets somebody.</doc>
      <method id="create_job" name="POST">
        <request id="create_job_parameters">
          <param style="query" name="whom" type="xs:string" required="true"/>
        </request>
      </method>
      <resource id="job_result_name" path="{job-id}/results/{result-id}">
        <method name="GET">
          <request>
            <param style="template" name="result-id" type="xs:string" required="true">
              <option value="letter" mediaType="text/plain" default="letter.txt"/>
            </param>
          </request>
        </method>
      </resource>
    </resource>
  </resources>
</application>
"""
# OPUS_CLAIMANT and the variable above reach the wrapper, and the second one its script.
SCRIPT = 'printf "%s, %s\\n" "$MEADOW" "$whom" > "$letter"\n'


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """What the command writes; fails with all of it unless the command succeeds."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def project(folder: Path, name: str, source: str) -> Path:
    """The folder of a plugin as its author keeps it."""
    (folder / name).mkdir()
    (folder / name / f"opus_{name}.py").write_text(textwrap.dedent(source))
    (folder / name / "pyproject.toml").write_text(
        textwrap.dedent(f"""
            [build-system]
            requires = ["hatchling"]
            build-backend = "hatchling.build"

            [project]
            name = "opus-{name}"
            version = "3.2.1"
            dependencies = ["opus-core~={version("opus-core")}"]

            [project.entry-points.opus]
            {name} = "opus_{name}"

            [tool.hatch.build.targets.wheel]
            include = ["opus_{name}.py"]
        """)
    )
    return folder / name


def build(wheels: Path, *sources: Path) -> None:
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", wheels, *sources),
    )


def first_party(wheels: Path) -> Path:
    """Wheels of ours: those that tox has built, or else built now."""
    if built := os.environ.get("OPUS_WHEELS"):
        return Path(built)
    build(wheels, *(CHECKOUT / name for name in OURS))
    return wheels


@pytest.fixture(scope="module")
def opus(tmp_path_factory) -> Path:
    """The command `opus` of an environment with the stranger's plugins and no other manager."""
    folder = tmp_path_factory.mktemp("strangers")
    ours, theirs = first_party(folder / "ours"), folder / "theirs"
    sources = {"meadow": MANAGER, **{name: source for name, (source, _) in BROKEN.items()}}
    build(theirs, *(project(folder, name, source) for name, source in sources.items()))
    run(sys.executable, "-m", "venv", folder / "venv")
    wanted = [next(ours.glob(f"{name}-*.whl")) for name in OURS]
    run(folder / "venv/bin/python", "-m", "pip", "install", "-q", *wanted, *theirs.glob("*.whl"))
    return folder / "venv/bin/opus"


@pytest.fixture
def site(opus, tmp_path) -> Path:
    """A folder with a configuration that selects the stranger's manager, and one job."""
    (tmp_path / "opus.toml").write_text(
        '[server]\nport = 0\n[manager]\nuse = "meadow"\ngreeting = "Moo"\n'
    )
    (tmp_path / "greeting.wadl").write_text(WADL)
    (tmp_path / "greeting.sh").write_text(SCRIPT)
    wadl, script = tmp_path / "greeting.wadl", tmp_path / "greeting.sh"
    run(opus, "jdl", "import", wadl, "--script", script, "--publish", cwd=tmp_path)
    return tmp_path


@pytest.fixture
def address(opus, site) -> Iterator[str]:
    """Host and port of a server on that configuration."""
    server = subprocess.Popen(
        [opus, "serve"],
        cwd=site,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "LANG": "C"},
    )
    try:
        first = server.stdout.readline()
        found = re.search(r"http://([^/ ]+)/", first)
        assert found, f"the server said {first!r}"
        yield found[1]
    finally:
        server.terminate()
        try:
            server.communicate(timeout=30)
        finally:
            server.kill()
    assert server.returncode == 0


def ask(address: str, method: str, path: str, **form: str) -> tuple[int, str, str]:
    """Status, Location and body of one answer; redirections are not followed."""
    connection = http.client.HTTPConnection(address, timeout=60)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    with contextlib.closing(connection):
        connection.request(method, path, urlencode(form) or None, headers)
        answer = connection.getresponse()
        return (
            answer.status,
            urlsplit(answer.getheader("Location", "")).path,
            answer.read().decode(),
        )


def end(address: str, job: str) -> str:
    """The phase in which the job ends, or is after a minute; the server holds each answer until
    it changes."""
    phase, deadline = "QUEUED", time.monotonic() + 60
    while phase in ("PENDING", "QUEUED", "EXECUTING") and time.monotonic() < deadline:
        ask(address, "GET", f"{job}?WAIT=20&PHASE={phase}")
        phase = ask(address, "GET", f"{job}/phase")[2].strip()
    return phase


def test_a_manager_from_elsewhere_runs_a_job_to_its_results(address):
    status, job, _ = ask(address, "POST", "/rest/greeting", whom="world")
    assert status == 303
    assert ask(address, "POST", f"{job}/phase", PHASE="RUN")[0] == 303

    assert end(address, job) == "COMPLETED"

    status, location, body = ask(address, "GET", f"{job}/results/letter")
    if status == 303:
        _, _, body = ask(address, "GET", location)
    assert body == "Moo, world\n"


def test_broken_neighbours_are_listed_with_their_causes_and_stop_nothing(opus, site):
    rows = {row["name"]: row for row in json.loads(run(opus, "plugins", "--json", cwd=site))}

    assert rows["meadow"] == {
        "name": "meadow",
        "distribution": "opus-meadow",
        "version": "3.2.1",
        "hooks": ["opus_register_manager"],
        "offers": ["manager meadow"],
        "about": ["jobs that run free"],
        "state": "selected",
        "cause": "",
    }
    for name, (_, cause) in BROKEN.items():
        assert rows[name]["state"] == "broken"
        assert cause in rows[name]["cause"]
    assert {"sqlite", "wadl"} <= rows.keys()
    assert "local" not in rows


def refusal(opus: Path, folder: Path, config: str) -> str:
    """The last line of a server that does not start on this configuration."""
    (folder / "opus.toml").write_text(config)
    done = subprocess.run([opus, "serve"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("name", "cause"), [(name, cause) for name, (_, cause) in BROKEN.items()])
def test_a_server_that_selects_a_broken_one_does_not_start_and_quotes_the_cause(
    opus, tmp_path, name, cause
):
    said = refusal(opus, tmp_path, f'[manager]\nuse = "{name}"\n')

    assert said.startswith(f"opus: opus.toml: [manager] use = '{name}': ")
    assert f"opus-{name} 3.2.1 is broken: " in said
    assert cause in said


def test_a_mistake_in_the_stranger_s_own_option_is_told_like_any_other(opus, tmp_path):
    assert refusal(opus, tmp_path, '[manager]\nuse = "meadow"\ngreting = "Moo"\n') == (
        "opus: opus.toml: [manager] has no key greting; did you mean greeting? "
        "Legal: greeting, records"
    )


def test_what_the_stranger_s_own_check_refuses_is_its_own_sentence(opus, tmp_path):
    assert refusal(opus, tmp_path, '[manager]\nuse = "meadow"\ngreeting = "M00"\n') == (
        "opus: [manager] greeting must be a word"
    )
