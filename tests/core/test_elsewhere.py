"""Which services elsewhere pages are for, and which servers their proxy reaches."""

from __future__ import annotations

import pytest

from opus_core.elsewhere import parse
from opus_core.errors import BadRequest, NotAllowed, NotFound

SERVICES = parse(
    [
        "https://vo.example.org/tap/async",
        "http://127.0.0.1:8080",
        "https://[2001:db8::7]/async/",
        "https://vo.example.org:443/tap/async/",  # the first one again
    ]
)


def test_each_is_there_once_as_browsers_write_it():
    assert [one.url for one in SERVICES.every] == [
        "https://vo.example.org/tap/async",
        "http://127.0.0.1:8080",
        "https://[2001:db8::7]/async",
    ]
    assert not parse([])


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://vo.example.org/tap/async", "https://vo.example.org/tap/async"),
        ("https://VO.example.org:443/tap/async/", "https://vo.example.org/tap/async"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/rest/say?x=1#y", "http://127.0.0.1:8080/rest/say"),
        ("https://[2001:db8::7]/async/of/ann", "https://[2001:db8::7]/async/of/ann"),
    ],
)
def test_a_page_is_about_one_of_them_or_what_lies_below(url, found):
    assert SERVICES.find(url).url == found


@pytest.mark.parametrize(
    "url",
    [
        "http://vo.example.org/tap/async",
        "https://vo.example.org:8443/tap/async",
        "https://vo.example.org/tap",
        "https://vo.example.org/tap/asynchronous",
        "https://vo.example.org/tap/async/../../admin",
        "https://vo.example.org/tap/async/./x",
        "https://vo.example.org/tap/async/%2e%2E/admin",
        "https://vo.example.org.evil.example/tap/async",
        "http://127.0.0.1:80801",
        "http://127.0.0.1/rest/say",
        "http://127.1:8080/rest/say",
    ],
)
def test_and_about_no_other(url):
    with pytest.raises((NotFound, BadRequest)) as refused:
        SERVICES.find(url)
    assert refused.value.sentence


@pytest.mark.parametrize(
    "url",
    [
        "",
        "async",
        "ftp://vo.example.org/tap/async",
        "javascript:alert(1)",
        "https://ann:secret@vo.example.org/tap/async",
        "https://vo.example.org/tap/async\r\nHost: evil",
        "https://vo.example.org/" + "x" * 3000,
    ],
)
def test_what_is_no_address_is_refused(url):
    for ask in (SERVICES.find, SERVICES.reachable):
        with pytest.raises(BadRequest):
            ask(url)


def test_the_proxy_reaches_the_whole_server_of_a_service_and_no_other():
    _, origin = SERVICES.reachable("https://vo.example.org/files/1?x=2")
    assert str(origin) == "https://vo.example.org"
    for url in ("https://vo.example.org:444/", "http://127.0.0.1:8081/", "https://example.org/"):
        with pytest.raises(NotAllowed):
            SERVICES.reachable(url)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/tap/async/1", "https://vo.example.org/tap/async/1"),
        ("2", "https://vo.example.org/tap/2"),
        ("https://vo.example.org/x", "https://vo.example.org/x"),
        # A service that does not know that it is called by https.
        ("http://vo.example.org/tap/async/1?a=b", "https://vo.example.org/tap/async/1?a=b"),
        ("http://127.0.0.1:8080/rest/say/1", "http://127.0.0.1:8080/rest/say/1"),
    ],
)
def test_a_redirection_stays_on_their_servers(location, target):
    assert SERVICES.behind(location, "https://vo.example.org/tap/async") == target


@pytest.mark.parametrize(
    "location",
    [
        "https://example.org/x",
        "//example.org/x",
        "http://vo.example.org:8080/x",
        "file:///etc/passwd",
        "https://vo.example.org@example.org/",
        "http://[::1/",
        "http://169.254.169.254/latest/meta-data",
    ],
)
def test_and_is_refused_otherwise(location):
    with pytest.raises(NotAllowed) as refused:
        SERVICES.behind(location, "https://vo.example.org/tap/async")
    assert "leads on" in refused.value.sentence


def test_the_configuration_takes_addresses_alone():
    for wrong in ("vo.example.org/async", "https://ann@vo.example.org", "ftp://x/"):
        with pytest.raises(ValueError, match="no address of a service"):
            parse([wrong])
