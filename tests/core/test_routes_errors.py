from __future__ import annotations

import logging
import re

import pytest

from core import wsgi
from core.wsgi import CHROME
from opus_core.errors import BackendUnavailable, OpusError, StorageFull
from opus_core.job import new_id


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


@pytest.fixture
def client(site):
    return site.client()


def failing(site, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(site.storage, "read", fail)
    return f"/rest/fit/{new_id()}"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "text/plain; charset=utf-8"),
        ("application/xml", "text/plain; charset=utf-8"),
        ("application/json", "application/json"),
        (CHROME, "text/html; charset=utf-8"),
    ],
)
def test_an_error_is_one_sentence_in_the_clients_format(client, accept, content_type):
    answer = client.get("/rest/fit?LAST=x", accept=accept)
    assert answer.status == 400
    assert answer.headers["content-type"] == content_type
    assert "LAST cannot be" in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_json_errors_have_status_and_sentence(client):
    said = client.get("/rest/fit?LAST=x", accept="application/json").json
    assert said["status"] == 400
    assert said["error"].startswith("LAST cannot be")


@pytest.mark.parametrize("accept", ["*/*", CHROME, "application/json"])
def test_what_a_client_sent_is_only_quoted(client, accept):
    answer = client.get("/rest/%3Cscript%3Ealert(1)%3C%2Fscript%3E?x=%3Cscript", accept=accept)
    assert answer.status == 404
    if accept == CHROME:
        assert "<script" not in answer.text


def test_an_unexpected_error_is_500_with_an_id_that_is_in_the_log(
    site, client, monkeypatch, caplog
):
    job = failing(site, monkeypatch, RuntimeError("secret detail"))
    with caplog.at_level(logging.ERROR):
        answer = client.get(job)
    assert answer.status == 500
    assert "secret detail" not in answer.text
    number = re.search(r"error ([0-9a-f]{8})", answer.text)[1]
    (record,) = [one for one in caplog.records if number in one.getMessage()]
    assert "secret detail" in caplog.text
    assert record.exc_info


@pytest.mark.parametrize("accept", ["*/*", CHROME, "application/json"])
def test_the_trace_is_shown_in_debug_only(site, monkeypatch, accept):
    job = failing(site, monkeypatch, RuntimeError("<b>secret</b> detail"))
    shown = site.client(changes={"debug": True}).get(job, accept=accept)
    assert "Traceback" in shown.text
    assert "<b>secret" not in shown.text or accept != CHROME
    assert "Traceback" not in site.client().get(job, accept=accept).text


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (BackendUnavailable("no answer"), "5"),
        (StorageFull("the disk is full", retry_after=12.3), "13"),
    ],
)
def test_503_says_when_to_try_again(site, client, monkeypatch, error, seconds):
    answer = client.get(failing(site, monkeypatch, error))
    assert answer.status == 503
    assert answer.headers["retry-after"] == seconds
    assert answer.text == f"{error.sentence}\n"


def test_a_fault_of_ours_that_has_a_sentence_keeps_it(site, client, monkeypatch):
    answer = client.get(failing(site, monkeypatch, OpusError("the file was changed")))
    assert answer.status == 500
    assert answer.text.startswith("the file was changed (error ")


def test_an_unknown_address_is_404_and_a_wrong_method_405(client):
    for accept in ("*/*", CHROME, "application/json"):
        assert client.get("/nope", accept=accept).status == 404
        assert client("PUT", "/rest/fit", accept=accept).status == 405


@pytest.mark.parametrize("host", ["opus.test/evil", "a b", "[::1", "x\ty", "opus.test:99999999"])
def test_a_host_header_that_is_no_host_is_400(client, host):
    for accept in ("*/*", CHROME):
        assert client("GET", "/rest/fit", accept=accept, host=host).status == 400


@pytest.mark.parametrize("path", ["/rest/%ff%fe", "/rest/%00", "/rest/fit/%0d%0aSet-Cookie:a=b"])
def test_a_path_of_any_bytes_is_404(client, path):
    answer = client.get(path)
    assert answer.status == 404
    assert "set-cookie" not in answer.headers
