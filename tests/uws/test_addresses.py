"""Location and links, wherever the server is mounted and whatever stands in front of it."""

from __future__ import annotations

import http.client
import re
import urllib.parse
import urllib.request

import pytest
from lxml import etree

from servers import Site, site
from uws.aip import AipClient
from uws.conftest import MOUNTED, PREFIX
from uws.documents import UWS, XLINK
from uws.jobs import WORK, describe
from uws.proxy import proxy

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def read(url: str, user: str = "", accept: str = "*/*") -> bytes:
    headers = {"Accept": accept} | ({"X-Test-User": user} if user else {})
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        return answer.read()


def walk(base: str, user: str = "") -> None:
    """Do what a client does who was given this address, following whatever it is told."""
    client = AipClient(f"{base}/rest/work", user)
    job = client.new(text="a\x01b", many="plain")
    assert re.fullmatch("[0-9a-f]{32}", job)
    root = client.set(job, PHASE="RUN")
    while root.findtext(f"{UWS}phase") not in ("COMPLETED", "ERROR", "ABORTED"):
        root = client.get(job, WAIT="10", PHASE=root.findtext(f"{UWS}phase"))
    assert root.findtext(f"{UWS}phase") == "COMPLETED"
    links = [result.get(f"{XLINK}href") for result in root.iter(f"{UWS}result")]
    links += [one.text for one in root.iter(f"{UWS}parameter") if one.get("byReference") == "true"]
    rows = etree.fromstring(read(f"{base}/rest/work", user)).iter(f"{UWS}jobref")
    links += [row.get(f"{XLINK}href") for row in rows]
    offers = etree.fromstring(read(f"{base}/capabilities", user)).iterfind(".//accessURL")
    # Asking for /sync would run another job.
    links += [offer.text for offer in offers if not offer.text.endswith("/sync")]
    assert len(links) >= 6
    for link in links:
        assert link.startswith(f"{base}/"), link
        read(link, user)
    for page in ("/", "/rest/work", f"/rest/work/{job}", "/new/work"):
        follow_page(f"{base}{page}", base, user)
    assert job not in [row.get("id") for row in client.delete(job).iter(f"{UWS}jobref")]


def follow_page(url: str, base: str, user: str) -> None:
    """Everything that a page points at is there."""
    page = etree.HTML(read(url, user, BROWSER))
    found = {one for name in ("href", "src", "action") for one in page.xpath(f"//@{name}")}
    assert found
    for link in found:
        target = urllib.parse.urljoin(url, link)
        if target.startswith(f"{base}/"):
            read(target, user)
        else:
            assert link.startswith(("https://", "mailto:")), f"{link} on {url} leads elsewhere"


@pytest.fixture
def prepared(tmp_path):
    """A callable that starts a server of its own, configured so."""
    opened = []

    def start(text: str = "", *, prefix: str = "") -> Site:
        one = opened[0]
        one.configure(text)
        if prefix:
            one.start("supervise")
            process = one.start("--port", str(one.port), "--prefix", prefix, program=MOUNTED)
            one.wait_until_up(process)
        else:
            one.serve()
        return one

    with site(tmp_path / "site") as one:
        describe(one, WORK)
        opened.append(one)
        yield start


def test_by_itself(one):
    walk(one.url)


def test_by_whatever_name_it_is_called(one):
    walk(f"http://localhost:{one.port}")


def test_on_loopback_only_this_machine_s_own_names_are_answered(one, gate):
    """A page whose name leads here for a moment (DNS rebinding) reads nothing."""
    for host in ("rebound.example", f"rebound.example:{one.port}", "192.0.2.1"):
        answer = one.get("/rest/work", headers={"Host": host})
        assert answer.status == 400
        assert "base_url" in answer.text
    assert one.get("/rest/work", headers={"Host": f"[::1]:{one.port}"}).status == 200
    # Under WSGI nobody knows who listens where.
    headers = {"Host": "opus.example.org", "X-Test-User": "ann"}
    assert gate.get(f"{PREFIX}/rest/work", headers=headers).status == 200


def test_below_a_prefix(gate):
    walk(f"{gate.url}{PREFIX}", "ann")


def test_behind_a_proxy_that_says_how_it_was_called(prepared):
    with proxy(prepared().port) as url:
        walk(url)


def test_behind_a_proxy_that_offers_it_at_the_path_it_is_mounted_at(prepared):
    one = prepared(prefix="/a b/opus")
    with proxy(one.port, path="/a%20b/opus", inner="/a%20b/opus") as url:
        walk(url)


@pytest.mark.parametrize("keep_host", [True, False])
def test_behind_a_proxy_at_another_path_with_base_url(tmp_path, keep_host):
    with site(tmp_path / "other") as other:
        describe(other, WORK)
        with proxy(other.port, path="/portal/jobs", keep_host=keep_host) as url:
            other.configure(f'base_url = "{url}"')
            other.serve()
            walk(url)


TRUSTED = 'port = {}\nthreads = 16\ntrusted_proxies = ["127.0.0.1"]'


@pytest.fixture(scope="module")
def trusting(tmp_path_factory):
    """A server that believes proxies on this machine."""
    with site(tmp_path_factory.mktemp("trusting")) as one:
        describe(one, WORK)
        one.configure(server=TRUSTED.format(one.port))
        one.serve()
        yield one


def create(url: str) -> http.client.HTTPResponse:
    """The answer to a request for a new job; no redirection is followed."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        connection.request("POST", f"{parts.path}/rest/work")
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


@pytest.mark.parametrize("keep_host", [True, False])
def test_behind_a_proxy_that_is_trusted(trusting, keep_host):
    said = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": "HOST",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Prefix": "/portal/my%20jobs",
    }
    with proxy(trusting.port, path="/portal/my%20jobs", keep_host=keep_host, said=said) as url:
        walk(url)


def test_behind_a_trusted_proxy_that_speaks_https_to_its_clients(trusting):
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "opus.example.org"}
    with proxy(trusting.port, keep_host=False, said=said) as url:
        location = create(url).headers["Location"]
        assert location.startswith("https://opus.example.org/rest/work/")
        root = etree.fromstring(read(f"{url}/rest/work?LAST=1"))
        assert [row.get(f"{XLINK}href") for row in root.iter(f"{UWS}jobref")] == [location]


@pytest.mark.parametrize(
    ("trusts", "statuses"), [(True, [303, 303, 429]), (False, [303, 429, 429])]
)
def test_clients_behind_a_trusted_proxy_have_quotas_of_their_own(tmp_path, trusts, statuses):
    with site(tmp_path / "one") as one:
        describe(one, WORK)
        server = {"server": TRUSTED.format(one.port)} if trusts else {}
        one.configure(jobs="max_per_hour_per_user = 1", **server)
        one.serve()
        for address, status in zip(
            ("192.0.2.1", "192.0.2.2", "203.0.113.3, 192.0.2.1"), statuses, strict=True
        ):
            with proxy(one.port, said={"X-Forwarded-For": address}) as url:
                assert create(url).status == status


def test_no_header_of_a_trusted_proxy_breaks_an_answer(trusting):
    for value in ("a\\", "a/b", "a b", "//evil", "a@evil", "%0d%0aX: y", "," * 2000, "\xe9", "?"):
        names = ("For", "Proto", "Host", "Port", "Prefix")
        headers = {f"X-Forwarded-{name}": value for name in names}
        made = trusting.post("/rest/work", {}, headers=headers)
        assert made.location.startswith(f"{trusting.url}/rest/work/"), value
        assert made.headers["X"] is None


def test_base_url_counts_whoever_calls_how(prepared):
    one = prepared('base_url = "https://opus.example.org/uws/"')
    location = one.create("work", run=False)
    assert location.startswith("https://opus.example.org/uws/rest/work/")
    listed = one.get("/rest/work", headers={"Host": "elsewhere.example"}).text
    assert f'xlink:href="{location}"' in listed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Prefix", "/evil"),
        ("Forwarded", "host=evil.example"),
    ],
)
def test_what_a_client_says_of_proxies_is_not_believed(one, name, value):
    answer = one.post("/rest/work", {}, headers={name: value})
    assert answer.location.startswith(f"{one.url}/rest/work/")
    assert "evil" not in one.get("/rest/work?LAST=1", headers={name: value}).text
