"""The embedded web server, as it begins and ends."""

from __future__ import annotations

import http.client

import pytest

from opus_core.serving import Web
from opus_core.spool import Spool


def hello(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


@pytest.fixture
def web(tmp_path):
    spool = Spool(tmp_path / "spool", largest=1000, min_free=0)
    return Web(hello, spool, host="127.0.0.1", port=0, threads=2)


def says_hello(web: Web) -> None:
    connection = http.client.HTTPConnection(web.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"hello"
    connection.close()


def test_it_answers_until_it_is_closed(web):
    with web:
        web.begin()
        says_hello(web)
    with pytest.raises(ConnectionRefusedError):
        says_hello(web)


def test_one_that_has_not_begun_is_closed_as_well(web):
    web.close()
    with pytest.raises(ConnectionRefusedError):
        says_hello(web)


def test_a_thread_that_ends_before_it_is_woken_takes_nothing_away(web, monkeypatch):
    """It looks whether it is to end once a second, and may do so at any moment."""
    web.begin()
    says_hello(web)
    (listener,) = web._listeners()
    wake = listener.pull_trigger

    def late():
        web._thread.join(10)
        wake()

    monkeypatch.setattr(listener, "pull_trigger", late)
    web.close()
    assert not web._thread.is_alive()
