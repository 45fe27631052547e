from __future__ import annotations

import logging
import os
import re
from urllib.parse import urlsplit

import pytest

from core import wsgi
from core.wsgi import CHROME
from opus_core.backends import Health, HealthState
from opus_core.errors import BackendUnavailable, OpusError, StorageFull, Unavailable
from opus_core.job import new_id, now
from opus_core.values import without_paths


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
    answer = client.get(f"{client.create()}?WAIT=x", accept=accept)
    assert answer.status == 400
    assert answer.headers["content-type"] == content_type
    assert "WAIT cannot be" in answer.text
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
    assert re.search(r"request ([0-9a-f]{16})", answer.text)[1] == answer.headers["x-request-id"]
    (record,) = [one for one in caplog.records if one.exc_info]
    assert record.facts["path"] == urlsplit(job).path
    assert "secret detail" in caplog.text


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
    assert answer.text.startswith("the file was changed (request ")


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


HERE = "/srv/opus/data" if os.path.isdir("/srv") else "/var/lib/opus/data"


@pytest.mark.parametrize(
    ("sentence", "public"),
    [
        (
            f"no space is left below {HERE}/jobs (Quota exceeded)",
            "no space is left below jobs (Quota exceeded)",
        ),
        (
            f"the folder {HERE} cannot be looked into: Stale file handle",
            "the folder data cannot be looked into: Stale file handle",
        ),
        (
            f"'{HERE}/a b': see [jobs] folder = \"/home/opus/\", /tmp/x.",
            "'a b': see [jobs] folder = \"opus\", x.",
        ),
        (
            "/home/opus/opus-jobs on login cannot be written to",
            "opus-jobs on login cannot be written to",
        ),
        (
            "the database postgresql://opus@db.example.org:5433/jobs is busy; try again",
            "the database jobs is busy; try again",
        ),
        ("ivo://org.example/opus", "ivo://org.example/opus"),
        ("root: /", "root: /"),
        ("POST /rest/fit, GET /handler/job_event", "POST /rest/fit, GET /handler/job_event"),
        (
            "fetching https://h.example/home/x and ~/home/y",
            "fetching https://h.example/home/x and ~/home/y",
        ),
        ("1/usr/2 and/or km/s", "1/usr/2 and/or km/s"),
        ("", ""),
    ],
)
def test_a_sentence_for_everybody_names_no_place_on_this_machine(sentence, public):
    assert without_paths(sentence) == public


@pytest.mark.parametrize("error", [Unavailable, StorageFull, BackendUnavailable])
@pytest.mark.parametrize("accept", ["*/*", CHROME, "application/json"])
def test_no_error_of_ours_names_one(site, client, monkeypatch, error, accept):
    job = failing(site, monkeypatch, error(f"the storage {HERE}/opus.sqlite is missing"))
    answer = client.get(job, accept=accept)
    assert answer.status >= 500
    assert "the storage opus.sqlite is missing" in answer.text
    assert HERE not in answer.text


@pytest.mark.parametrize(
    "address", ["/healthz", "/availability", "/availability?RESPONSEFORMAT=json", "/"]
)
def test_nor_does_what_is_told_of_the_servers_health(site, client, address):
    sentence = f"the local manager cannot use its folder {HERE}/local: Permission denied"
    down = Health(state=HealthState.DOWN, sentence=sentence, since=now(), heartbeat=now())
    site.storage.set_health("manager", down)
    answer = client.get(address, accept=CHROME if address == "/" else "*/*")
    assert "its folder local: Permission denied" in answer.text
    assert HERE not in answer.text


@pytest.mark.parametrize("accept", ["application/xml", "application/json"])
def test_nor_does_what_a_job_waits_for(site, client, accept):
    job = client.create(PHASE="RUN")
    sentence = f"the cluster does not answer: the folder {HERE} cannot be looked into: Stale"
    site.storage.note(job.rpartition("/")[2], {"waiting": sentence})
    answer = client.get(job, accept=accept)
    assert "the folder data cannot be looked into" in answer.text
    assert HERE not in answer.text
