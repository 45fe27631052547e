"""`opus run` shows the log of a job, and drives servers that know nothing of OPUS."""

from __future__ import annotations

import re
import subprocess
from http.server import BaseHTTPRequestHandler

import pytest

from servers import describe_ledger, site
from web import answering_by

JOB = """<?xml version="1.0"?>
<u:job xmlns:u="http://www.ivoa.net/xml/UWS/v1.0" xmlns:l="http://www.w3.org/1999/xlink">
<u:jobId>1</u:jobId><u:phase>{phase}</u:phase>
<u:results><u:result id="spectrum" l:href="../files/1.txt"/></u:results></u:job>
"""


class Foreign(BaseHTTPRequestHandler):
    """As little as a UWS 1.0 service can be: one job that is over as soon as it is run."""

    phase, taken = "PENDING", b""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/services/spectra":
            Foreign.phase, Foreign.taken = "PENDING", body
        elif (self.path, body) == ("/services/spectra/1/phase", b"PHASE=RUN"):
            Foreign.phase = "COMPLETED"
        else:
            self.send_error(400)
            return
        self.send_response(303)
        self.send_header("Location", "/services/spectra/1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        path = self.path.partition("?")[0]
        known = {
            "/services/spectra/1": JOB.format(phase=Foreign.phase),
            "/services/files/1.txt": "H alpha\n",
        }
        if path not in known:
            self.send_error(404)
            return
        body = known[path].encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain" if path.endswith("txt") else "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing."""


def opus_run(*words, cwd):
    done = subprocess.run(
        ["opus", "run", *words], capture_output=True, text=True, cwd=cwd, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A server with a job that takes its time."""
    with site(tmp_path_factory.mktemp("run")) as opened:
        describe_ledger(opened)
        opened.serve()
        yield opened


def test_it_shows_the_log_while_the_job_runs(one, tmp_path):
    ledger = f"ledger={tmp_path / 'l'}"
    said = opus_run("ledger", ledger, "seconds=2", "--server", one.url, cwd=tmp_path).splitlines()
    log = said.index("  | running for 2 s")
    [end] = [number for number, line in enumerate(said) if line.endswith(" COMPLETED")]
    assert log < end


def test_it_works_with_any_uws_server(tmp_path):
    with answering_by(Foreign) as origin:
        list_url = f"{origin}/services/spectra"
        said = opus_run(list_url, "line=H", "-o", "out", cwd=tmp_path)
    assert f"job {list_url}/1\n" in said
    assert Foreign.taken == b"line=H"
    assert re.search(r"\d COMPLETED$", said, re.MULTILINE)
    [result] = (tmp_path / "out").iterdir()
    assert result.read_text() == "H alpha\n"
