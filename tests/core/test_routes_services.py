"""Pages about services elsewhere, within a server and by themselves; and a server without pages."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler

import pytest

from core import wsgi
from core.wsgi import CHROME, FIT, Client
from json_jdl import JsonJdl
from opus_core.auth.policy import Policy
from opus_core.client import Client as Alone
from opus_core.client import make_client
from opus_core.config import load
from opus_core.elsewhere import parse
from opus_core.errors import ConfigError
from opus_core.proxy import Proxy
from opus_core.render import json as rendered
from opus_core.routes import ROUTES
from opus_core.wsgi import make_client_application
from web import answering_by

LIST = "https://vo.example.org/async"
SERVICES = parse([LIST, "http://127.0.0.1:9/rest/say"])
PAGES = [
    "/services",
    f"/services/jobs?SERVICE={LIST}",
    f"/services/job?SERVICE={LIST}&ID=1",
    f"/services/new?SERVICE={LIST}",
]
FOREIGN = {"sec_fetch_site": "cross-site", "origin": "https://other.test"}


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


def services(known=SERVICES):
    return {"services": known, "proxy": Proxy(known, at_once=4), "jdls": (JsonJdl(None),)}


def alone(known=SERVICES, **changes):
    return Client(make_client(Alone(services=known, jdls=(JsonJdl(None),), **changes)))


@pytest.fixture(params=["merged", "alone"])
def client(request, site):
    """The pages within a server of jobs, and by themselves."""
    return site.client(changes=services()) if request.param == "merged" else alone()


@pytest.mark.parametrize("address", PAGES)
def test_a_page_may_ask_its_service_and_nobody_else(client, address):
    answer = client.get(address, accept=CHROME)
    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    about = "SERVICE=" in address
    asks = " https://vo.example.org" if about else ""
    if "/job?" in address:
        asks += " http://localhost:21012"  # programs of the reader's, which results are sent to
    assert f"connect-src 'self'{asks};" in policy
    assert f"img-src 'self'{' blob:' if about else ''};" in policy
    assert "script-src 'self';" in policy
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/services/jobs", 400),
        (f"/services/job?SERVICE={LIST}", 400),
        ("/services/jobs?SERVICE=https://vo.example.org/other", 404),
        ("/services/jobs?SERVICE=https://evil.example/async", 404),
        ("/services/jobs?SERVICE=//evil.example", 400),
        ("/services/way?SERVICE=https://evil.example/async", 404),
        ("/services/proxy", 400),
        ("/services/proxy?URL=https://evil.example/", 403),
        ("/services/proxy?URL=file:///etc/passwd", 400),
        ("/services/proxy?URL=http://127.0.0.1:10/", 403),
    ],
)
def test_no_page_is_about_what_is_not_listed(client, address, status):
    answer = client.get(address)
    assert answer.status == status, answer.text
    assert answer.text.count("\n") == 1


def test_a_description_becomes_a_form(client):
    text = rendered.definition(FIT, 1).decode()
    hostile = "</p><script>x</script>"
    body = json.dumps({"description": text, "values": [["order", "7"], ["note", hostile]]}).encode()
    answer = client("POST", "/services/form", body, content_type="application/json")
    assert answer.status == 200, answer.text
    assert (
        'name="order" aria-describedby="in-order-help in-order-fault" value="7"'
        in (answer.json["form"])
    )
    assert "<script" not in answer.json["form"]
    assert answer.json["about"] == "Fits a curve to a table."


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"description": 1}',
        b'{"description": "{}", "values": [[1, 2]]}',
        b'{"description": "{}", "values": [["a"]]}',
        b'{"description": "{}", "values": 1}',
        b'{"description": "<nothing/>"}',
        b'{"description": "{\\"parameters\\": 1}"}',
        b'{"description": "\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_description_is_refused(client, body):
    answer = client("POST", "/services/form", body, content_type="application/json")
    assert answer.status in (400, 422), answer.text


def test_pages_of_others_ask_for_nothing_here(client):
    for method in ("POST", "PUT", "DELETE"):
        answer = client(method, f"/services/proxy?URL={LIST}", **FOREIGN)
        assert answer.status == 403, (method, answer.text)
    assert client("POST", "/services/form", b"{}", **FOREIGN).status == 403


def test_whoever_may_not_use_the_server_does_not_use_others_through_it(site):
    closed = {**services(), "policy": Policy(anonymous=False, anonymous_list=False)}
    client = site.client(changes=closed)
    for address in (*PAGES, f"/services/way?SERVICE={LIST}", f"/services/proxy?URL={LIST}"):
        assert client.get(address).status == 401, address
    assert client("POST", "/services/form", b"{}").status == 401


def test_without_services_there_are_no_such_pages(site):
    client = site.client()
    assert client.get("/services").status == 404
    assert client.get("/services/proxy?URL=http://127.0.0.1/").status == 404
    assert "Other services" not in client.get("/", accept=CHROME).text
    with_some = site.client(changes=services())
    assert "Other services" in with_some.get("/", accept=CHROME).text


class Page(BaseHTTPRequestHandler):
    """A service whose answer would like to be a page of ours."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", "default-src *")
        self.send_header("Set-Cookie", "__Host-opus=stolen")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Link", "</async?CURSOR=2>; rel=next")
        self.end_headers()
        self.wfile.write(b"<script>alert(1)</script>")

    do_POST = do_HEAD = do_GET

    def log_message(self, *said):
        return


@pytest.mark.parametrize("merged", [True, False])
def test_what_a_service_says_is_no_page_of_ours(site, merged):
    with answering_by(Page) as origin:
        known = parse([origin])
        client = site.client(changes=services(known)) if merged else alone(known)
        for method in ("GET", "HEAD", "POST"):
            answer = client(method, f"/services/proxy?URL={origin}/async")
            assert answer.status == 200, answer.text
            assert answer.headers["content-security-policy"].endswith("sandbox")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert "set-cookie" not in answer.headers
            assert answer.headers["link"] == "</async?CURSOR=2>; rel=next"
            assert not [name for name in answer.headers if name.startswith("access-control")]
        assert client.get(f"/services/way?SERVICE={origin}").json == {"proxy": True}


# -- the client by itself


def test_the_client_alone_begins_with_its_services():
    client = alone()
    page = client.get("/", accept=CHROME).text
    assert LIST.removeprefix("https://") in page
    assert "My jobs" not in page
    assert client.get("/healthz").json["status"] == "ok"
    assert client.get("/static/uwsLib.js").headers["content-type"].startswith("text/javascript")
    for address in ("/rest/fit", "/jobs", "/account", "/capabilities"):
        answer = client.get(address, accept=CHROME)
        assert answer.status == 404
        assert "My jobs" not in answer.text


def test_on_loopback_it_is_called_by_a_name_of_its_own_machine():
    client = alone(private=True)
    assert client.get("/services", host="evil.example").status == 400
    assert client.get("/services", host="localhost:8081").status == 200


def test_below_another_address():
    client = Client(make_client(Alone(services=SERVICES)), SCRIPT_NAME="/uws")
    page = client.get("/services", accept=CHROME).text
    assert 'href="/uws/services/jobs?SERVICE=https%3A%2F%2Fvo.example.org%2Fasync"' in page


# -- a server without pages


def test_a_server_without_pages_is_the_same_to_programs(site):
    client = site.client(changes={"pages": False, **services()})
    job = client.create(PHASE="RUN")
    for address in ("/rest/fit", job, "/jobs", "/capabilities", "/availability", "/jdl/fit"):
        shown = client.get(address, accept=CHROME)
        assert shown.status == 200, address
        assert not shown.headers["content-type"].startswith("text/html"), address
    assert client.get("/", accept=CHROME).json["definitions"]
    assert client.get("/nowhere", accept=CHROME).headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "address",
    [
        "/new/fit",
        "/api",
        "/signin",
        "/account",
        "/admin",
        "/edit",
        "/services",
        "/static/0/opus.css",
    ],
)
def test_and_has_none(site, address):
    client = site.client(changes={"pages": False, **services()})
    assert client.get(address, accept=CHROME).status == 404


def test_all_that_programs_use_is_there_without_pages(site):
    app = site.app(pages=False)
    rules = {
        (route.method, route.rule.replace(":name", "").replace(":job_id", ""))
        for route in app.routes
    }
    pages = {("GET", "/new/<name>"), ("GET", "/new/<name>/<job_id>"), ("GET", "/api")}
    assert rules == {(method, rule) for method, rule, _ in ROUTES} - pages


# -- as a site sets it up


def test_under_a_wsgi_server_it_needs_no_plugin(tmp_path):
    config = tmp_path / "opus.toml"
    config.write_text(f'[client]\nservers = ["{LIST}"]\n[jdl]\nuse = "none of these"\n')
    client = Client(make_client_application(config))
    assert "vo.example.org/async" in client.get("/", accept=CHROME).text
    # Under another server nobody knows who can ask, so that is for whoever runs it.
    assert client.get("/", host="client.example").status == 200
    assert not (tmp_path / "opus-data").exists()


def test_a_configuration_without_services_is_a_mistake(tmp_path):
    config = tmp_path / "opus.toml"
    config.write_text("")
    with pytest.raises(ConfigError, match="lists no services"):
        make_client_application(config)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('servers = ["vo.example.org/async"]', "servers: 'vo.example.org/async' is not a URL"),
        ('servers = ["https://ann@vo.example.org/"]', "is not a URL"),
        ('servers = "https://vo.example.org/"', "must be a list of strings"),
        ('host = "not a host"', "neither an address"),
        ("port = 70000", "at most 65535"),
        ('merge = "no"', "must be true or false"),
    ],
)
def test_mistakes_in_client_are_told(tmp_path, line, words):
    config = tmp_path / "opus.toml"
    config.write_text(f"[client]\n{line}\n")
    with pytest.raises(ConfigError) as refused:
        load(config)
    assert "[client]" in refused.value.sentence
    assert words in refused.value.sentence
