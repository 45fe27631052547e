"""What is wrong with addresses, certificates and the web server: each made to be so, found, and
told with the way out."""

from __future__ import annotations

import json
import resource
import shutil
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from core.helpers.checked import checked
from opus_core.finding import State
from opus_core.testing.server import free_port
from services_missing import lacking


@pytest.fixture
def site(tmp_path, monkeypatch):
    with checked(tmp_path, monkeypatch) as one:
        one.begin()
        yield one


class Answers(BaseHTTPRequestHandler):
    """Answers whatever its server says."""

    def do_GET(self):
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        status, location, document = self.server.says
        body = json.dumps(document).encode()
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *words):
        """Nothing is logged."""


HEALTH = {"status": "ok", "version": "1.0", "components": {}}


@contextmanager
def answering(status=200, location="", document=HEALTH, tls=None):
    """A web server that answers so; answers its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.says = status, location, document
    scheme = "http"
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{scheme}://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certificate(folder, days):
    """A key and a certificate of localhost for so many days."""
    if shutil.which("openssl") is None:
        lacking("there is no openssl; Debian's openssl has it")
    key, file = folder / "key.pem", folder / "certificate.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days {days}"
    names = ("-addext", "subjectAltName=DNS:localhost")
    subprocess.run(
        [*command.split(), *names, "-keyout", key, "-out", file], check=True, capture_output=True
    )
    return file, key


# -- addresses


def test_users_who_come_in_plain(site):
    for text, server, shown in (
        ('base_url = "http://opus.invalid"', "port = 0", "http://opus.invalid"),
        ("", 'host = "0.0.0.0"\nport = 0', "http://0.0.0.0:0"),
    ):
        site.configure(text, server=server, auth="anonymous = true")
        assert (
            f"others reach this server at {shown}, in plain" in site.one("web-without-tls").sentence
        )


def test_a_host_that_nobody_knows(site):
    site.configure('base_url = "https://opus.invalid/opus"', auth="anonymous = true")

    assert site.one("base-url-unknown").sentence.startswith("opus.invalid cannot be resolved here")


def test_nobody_at_base_url(site):
    site.configure(f'base_url = "http://127.0.0.1:{free_port()}"')

    assert "(Connection refused); start the server" in site.one("base-url-silent").sentence


def test_another_program_at_base_url(site):
    with answering(404, document="no") as url:
        site.configure(f'base_url = "{url}"')
        assert (
            f"what answers at {url}/healthz is not OPUS (404)"
            in site.one("base-url-elsewhere").sentence
        )


def test_a_base_url_that_leads_elsewhere(site):
    with answering(301, "https://there.example.org/opus", "") as url:
        site.configure(f'base_url = "{url}"')
        found = site.one("base-url-elsewhere")
    assert "(301, and leads to https://there.example.org/opus)" in found.sentence


def test_the_right_base_url(site):
    with answering() as url:
        site.configure(f'base_url = "{url}"')
        assert site.wrong() == {}
        assert f"OPUS answers at {url}" in [one.sentence for one in site.findings()]


def test_a_certificate_that_nobody_vouches_for(site, tmp_path):
    with answering(tls=certificate(tmp_path, 300)) as url:
        site.configure(f'base_url = "{url}"')
        found = site.one("certificate-invalid")
    assert found.state is State.ERROR
    assert f"the certificate at {url} is not valid (self" in found.sentence


def test_a_certificate_that_is_over_soon(site, tmp_path, monkeypatch):
    for days, soon in ((10, True), (300, False)):
        tls = certificate(tmp_path, days)
        monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
        with answering(tls=tls) as url:
            site.configure(f'base_url = "{url}"')
            found = site.wrong()
        assert ("certificate-ends" in found) is soon
        assert "certificate-invalid" not in found


def test_events_that_reach_nobody(site):
    with answering(404) as url:
        site.configure(server=f'port = 0\nevent_url = "{url}"')
        assert (
            "a report without a token is answered 404" in site.one("event-url-elsewhere").sentence
        )
    assert "nobody answers (Connection refused)" in site.one("event-url-elsewhere").sentence
    # 403, or from a machine in job_servers: no job is meant.
    for status, document in ((403, ""), (200, 0)):
        with answering(status, document=document) as url:
            site.configure(server=f'port = 0\nevent_url = "{url}"')
            assert site.wrong() == {}
    with answering(200) as url:
        site.configure(server=f'port = 0\nevent_url = "{url}"')
        assert "event-url-elsewhere" in site.wrong()


def test_jobs_that_cannot_report_their_end(site):
    site.configure(supervisor="embedded = false")

    assert site.one("event-url-missing").subject == "events"


def test_jobs_on_other_machines_that_are_told_a_loopback_address(site):
    site.install(
        "far",
        """
from core.saboteurs.process_manager import ProcessManager
from opus_core import hookimpl

class Far(ProcessManager):
    name = "far"
    far = True

@hookimpl
def opus_register_manager():
    return Far
""",
    )
    site.configure(manager=f'use = "far"\nfolder = "{site.folder}/cluster"')
    assert "would report to 127.0.0.1" in site.one("event-url-loopback").sentence
    with answering(403) as url:
        url = url.replace("localhost", "127.0.0.1")
        site.configure(
            server=f'port = 0\nevent_url = "{url}"',
            manager=f'use = "far"\nfolder = "{site.folder}/cluster"',
        )
        assert f"would report to {url}" in site.one("event-url-loopback").sentence


def test_a_port_that_another_program_has(site):
    with answering(200, document="hello") as url:
        port = int(url.rpartition(":")[2])
        site.configure(server=f"port = {port}")
        assert (
            f"another program answers at http://127.0.0.1:{port}" in site.one("port-taken").sentence
        )
    assert site.wrong() == {}


def test_a_proxy_that_is_not_believed(site, monkeypatch, tmp_path):
    tls = certificate(tmp_path, 300)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    with answering() as own, answering(tls=tls) as url:
        port = own.rpartition(":")[2]
        for proxies, is_wrong in (("[]", True), ('["127.0.0.1"]', False)):
            site.configure(
                f'base_url = "{url}"', server=f"port = {port}\ntrusted_proxies = {proxies}"
            )
            assert ("proxy-untrusted" in site.wrong()) is is_wrong


def test_requests_that_wait_for_longer_than_proxies_do(site):
    text = 'base_url = "https://opus.invalid"'
    site.configure(text, jobs="max_wait = 300", auth="anonymous = true")
    assert "requests may wait for 300 s" in site.one("wait-longer-than-proxies").sentence
    site.configure(text, jobs="max_wait = 60", auth="anonymous = true")
    assert "wait-longer-than-proxies" not in site.wrong()


def test_more_threads_than_files(site):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    site.configure(server=f"port = 0\nthreads = {most}")

    assert f"a process may open {most} files here" in site.one("open-files-few").sentence


def test_whom_a_public_server_believes_and_tells_too_much(site):
    site.configure(
        'debug = true\nbase_url = "https://opus.invalid"',
        server='port = 0\ntrusted_proxies = ["0.0.0.0/0"]',
        auth="anonymous = true\nanonymous_list = true",
    )

    found = site.wrong()

    for code in ("debug-public", "trusted-proxies-wide", "anonymous-list-public"):
        assert found[code][0].state is State.ERROR
    site.configure("debug = true", auth="anonymous = true\nanonymous_list = true")
    assert site.wrong() == {}
