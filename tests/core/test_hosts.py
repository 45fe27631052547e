from __future__ import annotations

import ipaddress

import pytest

from opus_core.errors import BadRequest, NotAllowed
from opus_core.hosts import Hosts, host_of, is_public, parse

PRIVATE = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.1.2.3 169.254.169.254 172.16.0.1
172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1
224.0.0.1 224.0.1.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1:: 2002:808:808::
3fff::1 5f00::1 fc00::1 fd12:3456::1 fe80::1 fec0::1 ff02::1 ff0e::1
""".split()
PUBLIC = "8.8.8.8 193.0.6.139 2606:4700::1111 2a00::1 ::ffff:8.8.8.8 64:ff9b::808:808".split()


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_a_network_of_ones_own_is_not_public(address):
    assert not is_public(ipaddress.ip_address(address))
    assert not parse(["public", "*.example.org"]).permits("a.example.org", address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(ipaddress.ip_address(address))
    assert parse(["public"]).permits("example.org", address)


@pytest.mark.parametrize("address", ["", "localhost", "127.1", "fe80::1%lo", "1.2.3.4 "])
def test_what_is_no_plain_address_is_not_connected_to(address):
    assert not parse(["public", "0.0.0.0/0"]).permits("example.org", address)


def test_a_name_is_allowed_wherever_it_is_and_others_are_not():
    hosts = parse(["Archive.internal"])
    assert hosts.permits("archive.internal", "10.1.2.3")
    assert hosts.permits("archive.internal", "8.8.8.8")
    assert not hosts.permits("evil.internal", "10.1.2.3")
    assert not hosts.permits("evil.archive.internal", "8.8.8.8")


def test_hosts_below_a_domain_are_allowed_where_they_are_public():
    hosts = parse(["*.example.org"])
    assert hosts.permits("a.b.example.org", "8.8.8.8")
    assert not hosts.permits("a.example.org", "10.1.2.3")
    for other in ("example.org", "badexample.org", "example.org.evil.net"):
        assert not hosts.permits(other, "8.8.8.8")


def test_a_network_is_allowed_whatever_the_name():
    hosts = parse(["10.1.0.0/16", "fd00::/8"])
    assert hosts.permits("x.net", "10.1.255.1")
    assert hosts.permits("x.net", "fd00::1")
    assert not hosts.permits("x.net", "10.2.0.1")
    assert not hosts.permits("x.net", "8.8.8.8")


def test_by_default_nothing_is_fetched():
    assert not Hosts().any
    with pytest.raises(NotAllowed, match="fetches no files; download it and upload it"):
        Hosts().check("https://example.org/a")


@pytest.mark.parametrize("entry", ["", "http://a.org", "a b", "*", "*.", "10.0.0.1/8", "a/b", "-a"])
def test_an_entry_that_is_nothing_is_refused(entry):
    with pytest.raises(ValueError, match="is no host"):
        parse([entry])


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/a",
        "file:///etc/passwd",
        "gopher://example.org/",
        "http://",
        "http:///a",
        "http://user:secret@example.org/",
        "http://user@example.org/",
        "http://@example.org/",
        "http://example.org:0/",
        "http://example.org:99999/",
        "http://example.org:x/",
        "http://[::1/",
        "http://[fe80::1%25lo]/",
        "http://exa mple.org/",
        "http://example.org/a\r\nHost: evil",
        "http://example.org/\t",
        "http://example.org\\@evil.net/",
        *(f"http://example.org/{odd}" for odd in "\ufffe\uffff\ud800"),  # in no document
        f"http://{'a' * 70}.org/",
        f"http://example.org/{'a' * 2048}",
    ],
)
def test_a_url_that_nobody_should_follow_is_malformed(url):
    with pytest.raises(BadRequest, match="cannot be fetched"):
        parse(["public", "0.0.0.0/0"]).check(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://[::1]/", "http://[::ffff:7f00:1]/"])
def test_an_address_that_is_not_allowed_is_refused_at_once(url):
    with pytest.raises(NotAllowed, match="fetches nothing from"):
        parse(["public", "192.0.2.0/24"]).check(url)


def test_a_host_that_is_not_allowed_is_refused_at_once():
    with pytest.raises(NotAllowed, match=r"nothing from 'example\.net'"):
        parse(["example.org", "*.example.org"]).check("https://example.net/a")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("HTTPS://Example.ORG:8443/a?b#c", "example.org"),
        ("http://example.org./", "example.org"),
        ("http://bücher.example.org/ü", "xn--bcher-kva.example.org"),
        ("http://[2606:4700::1111]/", "2606:4700::1111"),
    ],
)
def test_a_host_is_compared_as_it_is_asked_for(url, host):
    assert host_of(parse(["public"]).check(url)) == host
