"""`opus demo`: the main job, end to end, from an empty folder."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request

from servers import eventually

LAST = "strongest period: 11.00 years"


def test_the_demo_ends_with_the_strongest_period_and_leaves_the_results(tmp_path):
    begin = time.monotonic()
    done = subprocess.run(
        ["opus", "demo"], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == LAST
    for phase in ("QUEUED", "EXECUTING", "COMPLETED"):
        assert any(line.endswith(phase) for line in lines), done.stdout
    assert any(" % " in line for line in lines), "no progress was shown"
    assert json.loads((tmp_path / "opus-demo" / "strongest.json").read_text())["unit"]
    assert (tmp_path / "opus-demo" / "periodogram.svg").read_text().startswith("<")
    assert time.monotonic() - begin < 60


def test_kept_up_it_prints_the_page_of_the_job(tmp_path):
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(["opus", "demo", "--keep"], cwd=tmp_path, stdout=out)
    try:
        text = eventually(lambda: f"\n{LAST}\n" in (t := (tmp_path / "out").read_text()) and t, 60)
        page = next(line for line in text.splitlines() if "page" in line).split()[3]
        request = urllib.request.Request(page, headers={"Accept": "text/html"})
        with urllib.request.urlopen(request) as response:
            assert b"COMPLETED" in response.read()
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0
