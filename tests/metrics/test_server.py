"""Real servers of one site, as Prometheus sees them."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from metrics.numbers import samples
from servers import describe_ledger, eventually, free_port, kill, site

OWN = ("opus_build_info", "opus_metrics_scrape_duration_seconds")
LEDGER = (("definition", "ledger"),)
ALLOWED = 'allow = ["127.0.0.1"]'


@pytest.fixture
def one(tmp_path):
    with site(tmp_path / "site") as one:
        one.configure(**{"plugins.metrics": ALLOWED})
        describe_ledger(one)
        yield one


def scrape(port):
    """What a process answers, without what it says of itself."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/plugins/metrics",
        headers={"Accept": "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        found = samples(answer.read().decode())
    return {key: value for key, value in found.items() if key[0] not in OWN}


def of_jobs(port):
    return {key: value for key, value in scrape(port).items() if "_job" in key[0]}


def test_jobs_are_counted_by_all_processes_alike_and_after_a_crash(one, tmp_path):
    first = one.serve()
    other = free_port()
    one.start("serve", "--port", str(other))
    eventually(lambda: one.get("/healthz").status == 200)
    scrape(one.port)  # counting begins
    jobs = [one.create("ledger", {"ledger": str(tmp_path / "l"), "code": code}) for code in "003"]
    assert [one.wait(job) for job in jobs] == ["COMPLETED", "COMPLETED", "ERROR"]
    eventually(lambda: _answers(other))
    found = of_jobs(one.port)
    assert found["opus_jobs", (*LEDGER, ("phase", "COMPLETED"))] == 2
    assert found["opus_jobs", (*LEDGER, ("phase", "ERROR"))] == 1
    assert found["opus_jobs", (*LEDGER, ("phase", "EXECUTING"))] == 0
    assert found["opus_jobs_created_total", LEDGER] == 3
    begun = found["opus_job_transitions_total", (*LEDGER, ("phase", "EXECUTING"))]
    assert begun in (2, 3), "one that fails at once may be over before anybody looks"
    assert found["opus_job_wait_seconds_count", LEDGER] == begun
    assert found["opus_job_run_seconds_count", LEDGER] == begun
    assert of_jobs(other) == found
    assert scrape(other)["opus_supervisor_up", ()] == 1
    kill(first)
    assert of_jobs(other) == found
    one.serve()
    assert of_jobs(one.port) == found


def _answers(port):
    try:
        return scrape(port)
    except urllib.error.URLError:
        return None


def test_nobody_else_may_read_them_and_the_plugin_is_listed(one):
    one.configure()
    one.serve()
    assert one.get("/plugins/metrics").status == 401
    assert "metrics" in one.opus("plugins").stdout


def test_a_key_that_is_none_keeps_a_server_from_starting(one):
    one.configure(**{"plugins.metrics": 'allowed = ["127.0.0.1"]'})
    done = one.opus("check", check=False)
    assert done.returncode
    assert "did you mean allow" in done.stdout + done.stderr
