"""What only a real server and a real connection can show."""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import contextmanager

import pytest
import waitress
from lxml import etree
from waitress import wasyncore

from core import wsgi
from core.wsgi import UWS
from opus_core.forms import FormLimits


@contextmanager
def served(site, **changes):
    server = waitress.create_server(site.app(**changes), host="127.0.0.1", port=0, threads=8)
    thread = threading.Thread(target=server.run)
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.effective_port, timeout=20)
    try:
        yield connection
    finally:
        connection.close()
        server.task_dispatcher.shutdown()
        # By the thread that polls them: it would stumble over what another one closes.
        server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map, ignore_all=True))
        thread.join(10)


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


def ask(connection, method, url, body=None, **headers):
    connection.request(method, url, body, headers)
    answer = connection.getresponse()
    return answer, answer.read()


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_a_job_from_creation_to_deletion_over_one_connection(site):
    with served(site) as connection:
        answer, _ = ask(connection, "POST", "/rest/fit", b"order=2", **FORM)
        base = f"http://127.0.0.1:{connection.port}"
        assert answer.headers["Location"].startswith(f"{base}/rest/fit/")
        job = answer.headers["Location"].removeprefix(base)
        first = connection.sock
        answer, _ = ask(connection, "POST", f"{job}/phase", b"PHASE=RUN", **FORM)
        assert (answer.status, answer.headers["Location"]) == (303, base + job)
        site.finish(job, curve=("curve.csv", "text/csv", b"x" * 3_000_000))
        _, data = ask(connection, "GET", f"{job}/results/curve")
        assert data == b"x" * 3_000_000
        answer, data = ask(connection, "GET", f"{job}/results/curve", Range="bytes=2999990-")
        assert (answer.status, len(data)) == (206, 10)
        answer, data = ask(connection, "HEAD", f"{job}/results/curve")
        assert (answer.headers["Content-Length"], data) == ("3000000", b"")
        answer, _ = ask(connection, "DELETE", job)
        assert answer.headers["Location"] == f"{base}/rest/fit?LAST=100"
        answer, data = ask(connection, "GET", "/rest/fit?LAST=100")
        assert len(etree.fromstring(data)) == 0
        assert connection.sock is first


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [
        ("POST", "/rest/nope", FORM),
        ("POST", "/rest/fit", {"Content-Type": "application/json"}),
        ("POST", "/rest/fit", {**FORM, "Sec-Fetch-Site": "cross-site"}),
        ("POST", "/rest/fit", FORM),  # too large
        ("POST", "/availability", FORM),
        ("PUT", "/rest/fit/x/parameters/order", {}),
        ("GET", "/rest/fit?LAST=x", FORM),
    ],
)
def test_a_refused_body_does_not_spoil_the_connection(site, method, url, headers):
    with served(site, limits=FormLimits(max_text=1000, max_total=5000)) as connection:
        answer, _ = ask(connection, method, url, b"a=" + b"b" * 2_000_000, **headers)
        assert 400 <= answer.status < 500
        first = connection.sock
        assert first is not None
        answer, data = ask(connection, "GET", "/rest/fit")
        assert (answer.status, connection.sock) == (200, first)
        assert etree.fromstring(data).tag == UWS + "jobs"


def test_a_chunked_upload_arrives_whole(site):
    body = wsgi_multipart(b"y" * 500_000)
    with served(site) as connection:
        pieces = (body[n : n + 7_001] for n in range(0, len(body), 7_001))
        headers = {
            "Content-Type": "multipart/form-data; boundary=f",
            "Transfer-Encoding": "chunked",
        }
        connection.request("POST", "/rest/fit", pieces, headers, encode_chunked=True)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 303
        job = answer.headers["Location"].removeprefix(f"http://127.0.0.1:{connection.port}")
        _, data = ask(connection, "GET", f"{job}/parameters/table")
        assert data == b"y" * 500_000


def wsgi_multipart(data):
    return (
        b'--f\r\nContent-Disposition: form-data; name="table"; filename="t.csv"\r\n\r\n'
        + data
        + b"\r\n--f--\r\n"
    )


def test_waiting_clients_do_not_keep_others_from_being_answered(site):
    job = site.client().create(PHASE="RUN")
    with served(site) as connection:
        port = connection.port
        phases = []

        def wait():
            other = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            _, data = ask(other, "GET", f"{job}?WAIT=-1")
            phases.append(etree.fromstring(data).findtext(UWS + "phase"))
            other.close()

        # Four of them find a slot, as many as one address may have; the others are answered now.
        waiting = [threading.Thread(target=wait) for _ in range(20)]
        for one in waiting:
            one.start()
        deadline = time.monotonic() + 5
        while len(phases) < 16 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert phases == ["QUEUED"] * 16
        began = time.monotonic()
        assert ask(connection, "GET", f"{job}/phase")[1] == b"QUEUED"
        assert time.monotonic() - began < 1
        site.run(job)
        for one in waiting:
            one.join(10)
        assert phases[16:] == ["EXECUTING"] * 4
