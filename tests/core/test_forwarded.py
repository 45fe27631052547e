"""What proxies say of a request, and of whom it is believed."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import wsgi
from opus_core.backends import Limits
from opus_core.forwarded import FORWARDED, Networks, Proxies

PROXY, CLIENT = "192.0.2.7", "198.51.100.1"  # the first is where core.wsgi calls from


def seen(trusted=(PROXY,), address=PROXY, **said):
    environ = {
        "REMOTE_ADDR": address,
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "inner:8080",
        "SCRIPT_NAME": "",
        **{f"HTTP_X_FORWARDED_{name}": value for name, value in said.items()},
    }
    return Proxies(trusted).seen_through(environ)


def client(**said):
    return seen(**said)["REMOTE_ADDR"]


ALL = {"FOR": CLIENT, "PROTO": "https", "HOST": "opus.example.org", "PREFIX": "/portal/a%20b"}


def test_a_trusted_proxy_is_believed():
    found = seen(**ALL)
    assert found["REMOTE_ADDR"] == CLIENT
    assert found["wsgi.url_scheme"] == "https"
    assert found["HTTP_HOST"] == "opus.example.org"
    assert found["SCRIPT_NAME"] == "/portal/a b"


@pytest.mark.parametrize("trusted", [(), ("192.0.2.8", "10.0.0.0/8", "::/0")])
def test_nobody_else_is(trusted):
    found = seen(trusted, **ALL)
    assert found == {
        "REMOTE_ADDR": PROXY,
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "inner:8080",
        "SCRIPT_NAME": "",
        FORWARDED: True,  # so that nobody takes it for a connection within this machine
    }


@pytest.mark.parametrize("address", ["", "unix:", "localhost"])
def test_what_is_no_address_is_not_trusted(address):
    assert seen(("0.0.0.0/0", "::/0"), address, **ALL)["REMOTE_ADDR"] == address


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.1.2.3", "10.0.0.0/8"),
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
        ("fd00::1", "fd00::/8"),
        ("10.1.2.3", "10.1.2.3"),
    ],
)
def test_networks_are_meant_whatever_an_address_is_written_in(address, trusted):
    assert address in Networks([trusted])
    assert "192.0.2.1" not in Networks([trusted])


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("203.0.113.9, 198.51.100.1", "198.51.100.1"),  # what the client claims counts for nothing
        ("198.51.100.1, 192.0.2.7", "198.51.100.1"),
        ("203.0.113.9,198.51.100.1,10.0.0.2,10.0.0.1", "198.51.100.1"),
        ("10.0.0.9, 10.0.0.1", "10.0.0.9"),  # all are trusted: the first
        ("198.51.100.1:4711", "198.51.100.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("unknown", PROXY),
        ("unknown, 10.0.0.1", "10.0.0.1"),
        ("", PROXY),
        (",,,", PROXY),
        ("a" * 100_000, PROXY),
        ("1.2.3.4\r\nX: y", PROXY),
    ],
)
def test_the_client_is_the_nearest_that_is_no_trusted_proxy(chain, expected):
    assert client(trusted=(PROXY, "10.0.0.0/8"), FOR=chain) == expected


def test_of_several_proxies_each_tells_how_it_was_called():
    trusted = (PROXY, "10.0.0.1")
    more = {"HOST": "evil.example, opus.example.org, inner", "PROTO": "http, https, http"}
    one = seen(trusted, FOR=CLIENT, **more)
    assert (one["HTTP_HOST"], one["wsgi.url_scheme"]) == ("inner", "http")
    two = seen(trusted, FOR=f"{CLIENT}, 10.0.0.1", **more)
    assert (two["HTTP_HOST"], two["wsgi.url_scheme"]) == ("opus.example.org", "https")
    replaced = seen(trusted, FOR=f"{CLIENT}, 10.0.0.1", HOST="opus.example.org", PROTO="https")
    assert (replaced["HTTP_HOST"], replaced["wsgi.url_scheme"]) == ("opus.example.org", "https")


@pytest.mark.parametrize(
    ("host", "port", "proto", "expected"),
    [
        ("a.example", "8443", "https", "a.example:8443"),
        ("a.example", "443", "https", "a.example"),
        ("a.example", "80", "http", "a.example"),
        ("a.example", "443", "http", "a.example:443"),
        ("a.example:1", "2", "https", "a.example:1"),
        ("[::1]", "8443", "https", "[::1]:8443"),
        ("[::1]:1", "2", "https", "[::1]:1"),
        ("a.example", "0", "https", "a.example"),
        ("a.example", "99999", "https", "a.example"),
        ("a.example", "x", "https", "a.example"),
        ("", "8443", "https", "inner:8080"),
    ],
)
def test_a_port_that_is_named_apart_belongs_to_the_host(host, port, proto, expected):
    assert seen(HOST=host, PORT=port, PROTO=proto)["HTTP_HOST"] == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROTO", "gopher"),
        ("PROTO", "https\r\nX: y"),
        ("HOST", "a/b"),
        ("HOST", "a b"),
        ("HOST", "[ffff]"),
        ("HOST", "a:99999"),
        ("HOST", "user@evil.example"),
        ("HOST", "evil.example\r\nX: y"),
        ("HOST", "evil.example\n"),
        ("PREFIX", "//evil.example"),
        ("PREFIX", "/a//b"),
        ("PREFIX", "evil"),
        ("PREFIX", "/a/../b"),
        ("PREFIX", "/a\r\nX: y"),
        ("PREFIX", "/a\n"),
        ("PREFIX", "/a?b"),
        ("PREFIX", "/\\evil.example"),
        ("PREFIX", "/%2Fevil.example"),
        ("PREFIX", "/a%2F%2fb"),
        ("PREFIX", "/a%0D%0AX:y"),
        ("PREFIX", "/"),
    ],
)
def test_what_is_malformed_is_as_good_as_not_sent(name, value):
    assert seen(**{name: value}) == seen()


@given(said=st.dictionaries(st.sampled_from("FOR PROTO HOST PORT PREFIX".split()), st.text()))
def test_no_header_breaks_or_bends_a_url(said):
    found = seen(**said)
    url = f"{found['wsgi.url_scheme']}://{found['HTTP_HOST']}"
    assert re.fullmatch(r"https?://[A-Za-z0-9_.:\[\]-]+", url)
    assert not found["SCRIPT_NAME"].startswith("//")


# -- what comes of it


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path, limits=Limits(per_hour=1)) as site:
        yield site


def headers(**said):
    return {f"x_forwarded_{name.lower()}": value for name, value in said.items()}


def test_locations_and_links_are_those_of_the_proxy(site):
    outside = site.client(changes={"proxies": (PROXY,)})
    answer = outside.post("/rest/fit", form={}, **headers(**ALL))
    assert answer.location.startswith("https://opus.example.org/portal/a%20b/rest/fit/")
    job = urlsplit(answer.location).path.removeprefix("/portal/a%20b")
    page = outside.get(job, accept=wsgi.CHROME, **headers(**ALL)).text
    assert 'href="/portal/a%20b/rest/fit"' in page
    inside = site.client().get(job, **headers(**ALL))
    assert "opus.example.org" not in inside.text


def test_quotas_count_the_client_s_own_address(site):
    through = site.client(changes={"proxies": (PROXY,)})
    for address, status in (("198.51.100.1", 303), ("198.51.100.2", 303), ("198.51.100.1", 429)):
        assert through.post("/rest/fit", form={}, **headers(FOR=address)).status == status
    plain = site.client()
    for address, status in (("198.51.100.3", 303), ("198.51.100.4", 429)):
        assert plain.post("/rest/fit", form={}, **headers(FOR=address)).status == status


def test_a_job_server_behind_a_proxy_is_known_by_its_own_address(site):
    job = site.client().create().rpartition("/")[2]
    servers = {"job_servers": ("198.51.100.9",)}
    through = site.client(changes={"proxies": (PROXY,), **servers})
    form = {"jobid": job, "phase": "COMPLETED"}
    for address, status in (("198.51.100.9", 200), (f"198.51.100.9, {CLIENT}", 403)):
        answer = through.post("/handler/job_event", form=form, **headers(FOR=address))
        assert answer.status == status
    direct = site.client(changes=servers)
    sent = headers(FOR="198.51.100.9")
    assert direct.post("/handler/job_event", form=form, **sent).status == 403


def test_a_page_of_the_proxy_s_address_is_no_other_site(site):
    through = site.client(changes={"proxies": (PROXY,)})
    said = {**headers(**ALL), "origin": "https://opus.example.org", "sec_fetch_site": "same-site"}
    assert through.post("/rest/fit", form={}, **said).status == 303
    assert site.client().post("/rest/fit", form={}, **said).status == 403
