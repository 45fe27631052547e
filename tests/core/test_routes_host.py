"""By which names a server may be called."""

from __future__ import annotations

import pytest

from core import wsgi
from core.wsgi import CHROME

ADDRESSES = ("/", "/rest/fit", "/capabilities", "/healthz", "/static/opus.css", "/rest/fit/sync")


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


def private(site, host, **more):
    return site.client(changes={"private": True, **more}, HTTP_HOST=host)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "localhost:1", "LOCALHOST", ""],
)
def test_a_server_on_loopback_has_the_names_of_its_machine(site, host):
    assert private(site, host).get("/rest/fit").status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "192.0.2.1", "0.0.0.0", "localhost.evil.example", "[::]"],
)
def test_by_another_name_it_answers_nobody(site, host):
    """Else a page of that name, which leads here for a moment, could read everything."""
    client = private(site, host)
    for address in ADDRESSES:
        answer = client.get(address)
        assert answer.status == 400
        assert "set base_url to the address that users call" in answer.text
    assert client.post("/rest/fit", form={}).status == 400
    assert "base_url" in client.get("/", accept=CHROME).text
    assert len(site.client().get("/rest/fit").xml) == 0


def test_a_trusted_proxy_may_say_how_it_was_called(site):
    said = {"x_forwarded_host": "opus.example.org"}
    trusting = private(site, "backend", proxies=("192.0.2.7",))
    assert trusting.get("/rest/fit", **said).status == 200
    assert trusting.get("/rest/fit").status == 400
    assert private(site, "backend").get("/rest/fit", **said).status == 400


@pytest.mark.parametrize("host", ["a/b", "a b", "[ffff]", "[1.2.3.4]", "a:99999", "[1:2]:3", "a:b"])
@pytest.mark.parametrize("alone", [True, False])
def test_what_is_no_host_is_malformed(site, host, alone):
    client = site.client(changes={"private": alone}, HTTP_HOST=host)
    assert client.get("/rest/fit").status == 400
    assert client.get("/", accept=CHROME).status == 400
