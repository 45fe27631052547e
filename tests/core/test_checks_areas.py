"""What is wrong with addresses, plugins, back ends, descriptions, accounts and the supervisor: each
made to be so, found, and told with the way out."""

from __future__ import annotations

import json
import resource
import ssl
import subprocess
import threading
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from core.helpers.checked import checked
from opus_core import job as jobs
from opus_core.app import open_opus
from opus_core.backends import SUPERVISOR, Health, HealthState
from opus_core.checks import security
from opus_core.config import load
from opus_core.finding import State
from opus_core.testing.server import free_port

AUTH = "anonymous = false"


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
            "a report is answered 404, where OPUS answers 403"
            in site.one("event-url-elsewhere").sentence
        )
    assert "nobody answers (Connection refused)" in site.one("event-url-elsewhere").sentence
    with answering(403) as url:
        site.configure(server=f'port = 0\nevent_url = "{url}"')
        assert site.wrong() == {}


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


# -- plugins and back ends

OWN_MANAGER = """
from core.saboteurs.process_manager import ProcessManager
from opus_core import hookimpl

class Own(ProcessManager):
    name = "own"
{}

@hookimpl
def opus_register_manager():
    return Own
"""
OWN_STORAGE = """
from opus_core import hookimpl
from opus_core.testing.memory import MemoryStorage

class Own(MemoryStorage):
    name = "own"

    def warnings(self):
        return ["it forgets; take another"]

@hookimpl
def opus_register_storage():
    return Own
"""
OWN_FORMAT = """
from core.saboteurs.json_jdl import JsonJdl
from opus_core import hookimpl

class Own(JsonJdl):
    name = "own"
    suffix = ".own"

    def warnings(self):
        return ["it is of the last century; take another"]

@hookimpl
def opus_register_jdl():
    return Own
"""
AUTHENTICATOR = """
from opus_core import hookimpl

@hookimpl
def opus_authenticate(request):
    return None
"""
EXTENSION = """
from opus_core import hookimpl
from opus_core.errors import ConfigError
from opus_core.extensions import Extension

class Tide(Extension):
    name = "tide"
    about = "tides"

    @hookimpl
    def opus_observers(self):
        return {}

    def check(self):
        %s

    def open(self, site):
        %s

    def warnings(self):
        return ["the tide is high; wait"]

@hookimpl
def opus_register_extension():
    return Tide
"""


def own_manager(site, body):
    site.install("own", OWN_MANAGER.format(body))
    site.configure(manager=f'use = "own"\nfolder = "{site.folder}/cluster"')


def test_a_plugin_with_a_hook_that_there_is_not(site):
    site.install(
        "odd",
        "from opus_core import hookimpl\n@hookimpl\ndef opus_authentikate(request):\n    pass\n",
    )

    found = site.one("plugin-broken")

    assert "opus_authentikate" in found.sentence
    assert found.sentence.endswith("or name the plugin in [plugins] disabled")


def test_two_plugins_that_offer_the_same(site):
    site.install("one", OWN_FORMAT)
    site.install("two", OWN_FORMAT)

    found = site.wrong()["plugin-twins"]

    assert [one.subject for one in found] == ["plugin one", "plugin two"]
    assert "offers the jdl own, too" in found[0].sentence


def test_a_plugin_that_is_disabled_and_not_there(site):
    site.configure(plugins='disabled = ["mettrics"]')

    assert site.one("plugin-unknown").subject == "plugin mettrics"


def test_two_plugins_that_say_who_is_asking(site):
    site.install("one", AUTHENTICATOR)
    assert site.wrong() == {}
    site.install("two", AUTHENTICATOR)

    assert site.one("plugin-authenticators").sentence.startswith("one and two all say who")


@pytest.mark.parametrize(
    ("check", "opening", "words"),
    [
        ("raise ConfigError('the sea is not there; dig')", "pass", "the sea is not there; dig"),
        ("pass", "raise ConfigError('the gate is shut; open it')", "the gate is shut; open it"),
        ("pass", "raise RuntimeError('odd')", "it cannot begin: RuntimeError: odd"),
        ("raise RuntimeError('odd')", "pass", "its check failed: RuntimeError: odd"),
    ],
)
def test_an_extension_that_cannot_begin(site, check, opening, words):
    site.install("tide", EXTENSION % (check, opening))

    assert site.one("plugin-unusable").sentence == words


def test_a_table_of_an_extension_that_there_is_not(site):
    site.configure(**{"plugins.tides": "height = 7"})

    assert "[plugins.tides]" in site.one("plugin-unusable").sentence


def test_what_parts_say_of_themselves(site):
    site.install("tide", EXTENSION % ("pass", "pass"))
    assert site.one("plugin-remark").sentence == "the tide is high; wait"
    own_manager(site, "    def warnings(self):\n        return ['it is slow; wait']")
    assert site.one("manager-remark").sentence == "it is slow; wait"
    site.install("forgetful", OWN_STORAGE)
    site.configure(storage=f'use = "own"\nuniverse = "{site.universe}"')
    assert site.one("storage-remark").sentence == "it forgets; take another"
    site.install("old", OWN_FORMAT)
    site.configure(jdl='use = "own"')
    assert site.one("format-remark").sentence == "it is of the last century; take another"


def test_a_plugin_that_fails_when_it_is_asked(site):
    own_manager(site, "    def findings(self):\n        raise RuntimeError('odd')")

    found = site.one("plugin-stumbled")

    assert found.sentence == "asked what it has found, own failed: RuntimeError: odd"


def test_a_database_that_is_not_there(site):
    site.install(
        "filed",
        """
from dataclasses import dataclass
from pathlib import Path
from opus_core import hookimpl
from opus_core.testing.memory import MemoryOptions, MemoryStorage

@dataclass(frozen=True, slots=True, kw_only=True)
class Options(MemoryOptions):
    path: Path = Path("memory.file")
    password_file: Path | None = None

class Filed(MemoryStorage):
    name = "filed"
    Options = Options

@hookimpl
def opus_register_storage():
    return Filed
""",
    )
    secret = site.folder / "password"
    secret.write_text("secret")
    secret.chmod(0o644)
    table = f'use = "filed"\nuniverse = "{site.universe}"\npassword_file = "{secret}"'
    site.configure(storage=table)
    assert f"there is no {site.data}/memory.file" in site.one("storage-missing").sentence
    (site.data / "memory.file").touch()
    found = site.one("secret-file-readable-by-all")
    assert found.subject == "filed password_file"
    assert f"chmod o= {secret}" in found.sentence


# -- descriptions


def published(site, **of_description):
    """What is wrong with a further description."""
    site.begin(name="other", **of_description)
    return site


def test_nothing_that_could_be_run(tmp_path, monkeypatch):
    with checked(tmp_path, monkeypatch) as site:
        open_opus(load(site.folder / "opus.toml")).close()

        assert site.wrong().keys() == {"descriptions-missing"}


def test_descriptions_that_cannot_be_read(site):
    (site.data / "definitions").rename(site.data / "elsewhere")
    (site.data / "definitions").write_text("")

    assert "cannot be read: Not a directory" in site.one("descriptions-unreadable").sentence


def test_a_version_that_is_damaged(site):
    site.begin(script="echo twice\n")
    versions = site.data / "definitions" / "hello" / "versions"
    for number, code in ((1, "description-version-damaged"), (2, "description-damaged")):
        (versions / str(number) / "meta.json").write_text("{")
        assert site.one(code).subject == f"definitions/hello/versions/{number}"


@pytest.mark.parametrize(
    ("script", "missing"),
    [
        ("#!/usr/bin/env python9\n", "python9"),
        ("#!/usr/bin/env -S FOO=1 python9 -u\n", "python9"),
        ("#! /opt/nowhere/bin/idl -x\n", "/opt/nowhere/bin/idl"),
        ("#!/bin/sh -e\necho\n", None),
        ("#!/usr/bin/env bash\n", None),
        ("echo $text > $output\n", None),
        ("# no first line\n", None),
    ],
)
def test_a_script_whose_interpreter_is_missing(site, script, missing):
    published(site, script=script)

    if missing is None:
        assert site.wrong() == {}
    else:
        found = site.one("script-interpreter-missing")
        assert f"there is no {missing} on this machine" in found.sentence
        assert found.subject == "definitions/other"


def test_scripts_that_run_elsewhere_need_no_interpreter_here(site):
    published(site, script="#!/opt/nowhere/idl\n")
    own_manager(site, "    far = True")
    site.configure(
        server='port = 0\nevent_url = "http://192.0.2.7"',
        manager=f'use = "own"\nfolder = "{site.folder}/cluster"',
        client="merge = false",
    )

    assert "script-interpreter-missing" not in site.wrong()


@pytest.mark.parametrize(("seconds", "is_wrong"), [(7200, True), (0, True), (600, False)])
def test_a_duration_beyond_the_sites(site, seconds, is_wrong):
    published(site, execution_duration=seconds)
    site.configure(jobs="execution_duration = 600\nexecution_duration_max = 3600")

    assert ("description-duration" in site.wrong()) is is_wrong


def test_options_that_the_manager_does_not_offer(site):
    published(site, options={"slurm_mem": "4G"})

    found = site.one("description-options")

    assert "it sets slurm_mem, which the process manager does not offer here" in found.sentence


def test_a_list_of_users_that_cannot_be_read_or_names_nobody(site):
    access = site.data / "definitions" / "hello" / "access"
    access.write_text("everybody!\n")
    assert "nobody may, until" in site.one("access-damaged").sentence
    access.write_text("anyone\nuser ann\n")
    assert site.one("access-unknown-user").sentence.startswith("ann may run it, who has no account")
    with_people(site, lambda people: people.add("a test", "ann"))
    assert "access-unknown-user" not in site.wrong()


# -- accounts


def with_people(site, do):
    opus = open_opus(load(site.folder / "opus.toml"))
    try:
        return do(opus.people)
    finally:
        opus.close()


def test_nobody_has_an_account(site):
    site.configure(auth=AUTH)
    assert site.one("accounts-missing").state is State.ERROR
    site.configure(
        server='port = 0\ntrusted_proxies = ["127.0.0.1"]',
        auth=f'{AUTH}\nuser_header = "X-Remote-User"',
    )
    assert "accounts-missing" not in site.wrong()


def test_nobody_is_an_admin(site):
    site.configure(auth=AUTH)
    with_people(site, lambda people: people.add("a test", "ann"))

    assert site.one("admin-missing").subject == "accounts"


def test_no_admin_can_sign_in(site):
    admin = frozenset({"admin"})
    site.configure(auth=AUTH)
    with_people(site, lambda people: people.add("a test", "ann", roles=admin))
    assert "`opus user link ann` prints a new link" in site.one("admin-locked-out").sentence
    site.configure(auth=f"{AUTH}\npasswords = true")
    with_people(site, lambda people: people.set_password("a test", "ann", "a long password 17"))
    assert site.wrong() == {}
    site.configure(auth=AUTH)  # and passwords count no more
    assert site.one("admin-locked-out")
    with_people(site, lambda people: people.link("a test", "ann"))
    assert site.wrong() == {}


# -- the supervisor


def said(site, state, *, ago=timedelta(0), component=SUPERVISOR):
    when = jobs.now() - ago
    storage = site.storage()
    storage.set_health(
        component, Health(state=state, sentence="so it is; do that", since=when, heartbeat=when)
    )
    storage.close()


def test_no_supervisor(site):
    for ago in (timedelta(0), timedelta(seconds=31)):
        said(site, HealthState.OK, ago=ago)
        found = {one.code for one in site.findings()}
        assert ("supervisor-missing" in found) is bool(ago)


def test_what_the_supervisor_cannot_work_with(site):
    said(site, HealthState.OK)
    said(site, HealthState.DOWN, component="manager")
    said(site, HealthState.DEGRADED, component="jobs")
    assert site.one("component-down").subject == "manager"
    assert site.one("component-degraded").subject == "jobs"
    assert site.one("component-down").sentence.startswith("so it is; do that (since ")
    # Nobody looks at them any more.
    said(site, HealthState.OK, ago=timedelta(minutes=5))
    assert site.wrong() == {}


# -- what an auditor would ask; most of it is asked of servers in tests/security


def test_services_that_everybody_asks(site):
    site.configure(
        'base_url = "https://opus.invalid"',
        auth="anonymous = true",
        client='servers = ["https://192.0.2.7/async"]',
    )

    assert site.one("security-services-anonymous", security.findings).subject == "servers"


def test_a_storage_without_accounts(site):
    site.install(
        "without",
        OWN_STORAGE.replace(
            "    def warnings", "    def accounts(self):\n        return None\n\n    def warnings"
        ),
    )
    site.configure(storage=f'use = "own"\nuniverse = "{site.universe}"')

    found = site.one("security-no-accounts", security.findings)

    assert found.sentence == "the own storage keeps none"
